//! Trial: runs a suspect in a child process of this binary, so that only the child can die of it.
//!
//! The child works under the name of its worker: it finds the entry among those that the worker
//! owns, renews its lease, commits, acknowledges, and gives it back where that is due.
//!
//! Guarantees: the worker continues with its other entries beside a trial. A child ends when its worker
//! ends: the kernel closes the pipe on its standard input. Of a worker that dies with its child
//! nothing is counted.
//! Next: [`crate::suspect`], which decides what follows.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_broker::{Budget, Entry, EntryId, GiveBack, Lane};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::context::{Context, WorkerError};
use crate::delivery::{SettledSender, deliver};
use crate::events;
use crate::pipeline::Pipeline;
use crate::retry_delay::entry_delay;
use crate::suspect::{AfterTrial, TrialEnd, after, end_of, is_past_last_delivery, is_tried_alone};

/// The most entries that one child tries.
const TRIAL_GROUP: usize = 50;
/// The longest trial. A child that takes longer is asked to stop; its entry falls due again.
const TRIAL_LIMIT: Duration = Duration::from_mins(5);
/// How long a child that is asked to stop may finish its work: a request with its second try.
pub const STOP_LIMIT: Duration = Duration::from_secs(25);
/// A crash is counted after this time: whatever killed the child may kill the worker next.
const CRASH_PAUSE: Duration = Duration::from_millis(500);
/// When an entry falls due again that was not tried.
const NOT_TRIED_DELAY: Duration = Duration::from_secs(5);

/// How a worker calls the command `trial` of its own binary.
#[derive(Clone, Debug, Default)]
pub struct TrialCommand {
    /// Options that every command has.
    pub options: Vec<String>,
    /// The whole environment of the child.
    pub environment: Vec<(String, String)>,
}

/// The entries of a trial, and the worker that owns them.
#[derive(Clone, Debug)]
pub struct TrialEntries {
    pub worker: String,
    pub lane: Lane,
    pub ids: Vec<EntryId>,
}

/// Tries suspects that this worker holds, one group after another. A group whose child dies is
/// halved until the cause is alone: only that counts. So thousands of innocents cost few processes.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    suspects: Vec<Entry>,
    settled: SettledSender<P>,
) -> Result<(), WorkerError> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    for entry in suspects {
        if let Some(why) = is_past_last_delivery(entry.deliveries) {
            deliver(&ctx, vec![entry], Some(why), &settled).await?;
            continue;
        }
        let fits = |group: &&mut Vec<Entry>| {
            let is_open = group.len() < TRIAL_GROUP && group[0].lane == entry.lane;
            is_open && !is_tried_alone(&entry) && !is_tried_alone(&group[0])
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    while let Some(mut group) = groups.pop() {
        match group.len() {
            1 => try_one(&ctx, group.remove(0), &settled).await?,
            _ => groups.extend(try_group(&ctx, group).await),
        }
    }
    Ok(())
}

/// The halves of the group, if its child died.
async fn try_group<P: Pipeline>(ctx: &Context<P>, mut group: Vec<Entry>) -> Vec<Vec<Entry>> {
    let lane = group[0].lane;
    events::group_started(&group);
    let end = run_child(ctx, &group).await;
    events::group_ended(&ctx.tally, &group, &end);
    let ids: Vec<EntryId> = group.iter().map(|entry| entry.id).collect();
    match end {
        TrialEnd::Finished(_) => ctx.leases.release(lane, &ids),
        TrialEnd::Crashed(_) if !ctx.stop.is_cancelled() => {
            let back = group.split_off(group.len() / 2);
            return vec![back, group];
        }
        TrialEnd::Crashed(_) | TrialEnd::NotTried(_) => {
            let delay = if ctx.stop.is_cancelled() { Duration::ZERO } else { NOT_TRIED_DELAY };
            let delay = delay.min(ctx.settings.claim_idle.0);
            let back: Vec<_> =
                ids.into_iter().map(|id| GiveBack { id, delay, counted: None }).collect();
            ctx.return_ids(lane, &back).await;
        }
    }
    Vec::new()
}

async fn try_one<P: Pipeline>(
    ctx: &Context<P>,
    entry: Entry,
    settled: &SettledSender<P>,
) -> Result<(), WorkerError> {
    let (lane, id) = (entry.lane, entry.id);
    events::trial_started(&entry);
    let mut end = run_child(ctx, std::slice::from_ref(&entry)).await;
    if let TrialEnd::Crashed(how) = &end
        && ctx.stop.run_until_cancelled(sleep(CRASH_PAUSE)).await.is_none()
    {
        end = TrialEnd::NotTried(format!("{how}, while the worker was shutting down"));
    }
    events::trial_ended(&ctx.tally, &entry, &end);
    let (delay, counted) = match after(&end, entry.crashes, ctx.settings.max_deliveries) {
        AfterTrial::Release => {
            ctx.leases.release(lane, &[id]);
            return Ok(());
        }
        AfterTrial::Condemn(why) => return deliver(ctx, vec![entry], Some(why), settled).await,
        AfterTrial::GiveBack if ctx.stop.is_cancelled() => (Duration::ZERO, None),
        AfterTrial::GiveBack => (NOT_TRIED_DELAY, None),
        AfterTrial::GiveBackAsCrash => (entry_delay(entry.crashes), Some(Budget::Crash)),
    };
    let delay = delay.min(ctx.settings.claim_idle.0);
    ctx.return_ids(lane, &[GiveBack { id, delay, counted }]).await;
    Ok(())
}

/// Starts a child and waits for its end.
async fn run_child<P: Pipeline>(ctx: &Context<P>, entries: &[Entry]) -> TrialEnd {
    let mut child = match command(ctx, entries).spawn() {
        Ok(child) => child,
        Err(error) => return TrialEnd::NotTried(format!("no process could be started: {error}")),
    };
    let (pipe, mut stdout) = (child.stdin.take(), child.stdout.take());
    let ending = async {
        let mut output = Vec::new();
        if let Some(stdout) = &mut stdout {
            // What was read before an error counts.
            let _ = stdout.read_to_end(&mut output).await;
        }
        child.wait().await.map(|status| end_of(status, &String::from_utf8_lossy(&output)))
    };
    tokio::pin!(ending);
    let ended = tokio::select! {
        ended = &mut ending => Some(ended),
        _ = timeout(TRIAL_LIMIT, ctx.stop.cancelled()) => {
            drop(pipe);
            // Dropped after the limit, a child is killed.
            timeout(STOP_LIMIT, &mut ending).await.ok()
        }
    };
    match ended {
        Some(Ok(TrialEnd::Crashed(how))) if ctx.stop.is_cancelled() => TrialEnd::NotTried(how),
        Some(Ok(end)) => end,
        Some(Err(error)) => TrialEnd::NotTried(format!("its end is unknown: {error}")),
        None => TrialEnd::NotTried("it was asked to stop and did not".to_owned()),
    }
}

fn command<P: Pipeline>(ctx: &Context<P>, entries: &[Entry]) -> Command {
    let mut command = Command::new(own_binary());
    command.arg("trial").args(&ctx.trial.options);
    command.args(["--pipeline", P::NAME.as_str(), "--worker", &ctx.name]);
    for entry in entries {
        command.args(["--entry", &entry.id.to_string()]);
    }
    if entries.iter().any(|entry| entry.lane == Lane::Control) {
        command.arg("--control");
    }
    command.env_clear().envs(ctx.trial.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// The file of this process. After an upgrade its path names nothing or another version; Linux still
/// has the one that runs.
fn own_binary() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

/// In the child: works on those entries that the worker still owns. `begun` is called before.
pub async fn try_alone<P: Pipeline>(
    ctx: &Context<P>,
    lane: Lane,
    ids: &[EntryId],
    begun: fn(),
    settled: SettledSender<P>,
) -> Result<(), WorkerError> {
    ctx.heal().await.map_err(WorkerError::Broker)?;
    let began = Instant::now();
    let topic = ctx.pipeline.topic();
    let mut owned = Vec::with_capacity(ids.len());
    for id in ids {
        let found = ctx.broker.entries_of(topic, &ctx.name, lane, id.before(), 1).await;
        let found = found.map_err(WorkerError::Broker)?;
        owned.extend(found.into_iter().filter(|entry| entry.id == *id));
    }
    if owned.is_empty() {
        return Ok(());
    }
    for entry in &owned {
        ctx.leases.hold(lane, entry.id, began);
    }
    begun();
    deliver(ctx, owned, None, &settled).await
}
