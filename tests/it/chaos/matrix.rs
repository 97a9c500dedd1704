//! Every named point of the code × both backends: killed there, started again, nothing is wrong.
//!
//! The points are found in the sources, so that none can be forgotten: what is not in
//! `isobar_failpoint::POINTS`, or not in a row below, fails a test. A point that its process never passes fails
//! too. `ISOBAR_CRASH_AT` as a row has it replays one by hand.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use isobar_failpoint::POINTS;
use tokio::task::{Id, JoinError, JoinSet, LocalSet};

use super::arena::Backend;
use super::scenario::{Case, Way};
use crate::harness::sim::Sim;

/// Cases of one group that run at a time: most of one is waiting for a lease to end.
const AT_A_TIME: usize = 3;

const EXTRACTING: &[(Way, &str)] = &[
    (Way::StandardInput, "spool.keep.before"),
    (Way::StandardInput, "spool.keep.after"),
    (Way::Produce, "producer.job.after"),
    (Way::Produce, "producer.extract.before"),
    (Way::Produce, "producer.extract.after"),
    (Way::Produce, "producer.extract.after:2"),
    (Way::Produce, "producer.seal.before"),
    (Way::Produce, "producer.seal.after"),
    (Way::Cancel, "cancel.request.before"),
    (Way::Cancel, "cancel.request.after"),
    (Way::Cancel, "cancel.switch.after"),
    (Way::Cancel, "producer.seal.before"),
    (Way::Cancel, "producer.seal.after"),
    (Way::Tick, "schedule.claim.after"),
    (Way::Tick, "producer.append.after"),
    (Way::Tick, "schedule.finish.before"),
    (Way::Tick, "schedule.finish.after"),
];
const RELAYING: &[(Way, &str)] = &[
    (Way::Produce, "producer.heal.before"),
    (Way::Produce, "producer.heal.after"),
    (Way::Produce, "producer.append.before"),
    (Way::Produce, "producer.append.after"),
    (Way::Produce, "producer.append.after:2"),
    (Way::Produce, "producer.mark.before"),
    (Way::Produce, "producer.mark.after"),
    (Way::Lost, "producer.heal.after"),
    (Way::Lost, "producer.unmark.before"),
    (Way::Lost, "producer.unmark.after"),
    (Way::Confirm, "producer.confirm.before"),
    (Way::Confirm, "producer.prune.after"),
    (Way::Confirm, "producer.forget.after"),
    (Way::Confirm, "producer.finish.after"),
];
const IMPORTING: &[(Way, &str)] = &[
    (Way::Upload, "spool.fsync.before"),
    (Way::Upload, "spool.rename.before"),
    (Way::Upload, "spool.rename.between"),
    (Way::Upload, "spool.rename.after"),
    (Way::Upload, "producer.adopt.before"),
    (Way::Upload, "producer.adopt.after"),
    (Way::Upload, "api.import.accepted"),
    (Way::Upload, "producer.append.after"),
    (Way::Upload, "spool.remove.before"),
    (Way::Upload, "spool.remove.between"),
    (Way::Upload, "spool.remove.after"),
];
const REPUBLISHING: &[(Way, &str)] = &[
    (Way::Retry, "republish.open.before"),
    (Way::Retry, "republish.open.after"),
    (Way::Retry, "producer.extract.before"),
    (Way::Retry, "producer.extract.before:2"),
    (Way::Retry, "producer.extract.after"),
    (Way::Retry, "producer.extract.after:2"),
    (Way::Retry, "republish.delete.before"),
    (Way::Retry, "republish.delete.after"),
    (Way::Retry, "republish.delete.after:2"),
    (Way::Retry, "republish.end.before"),
    (Way::Retry, "republish.end.after"),
    (Way::Retry, "producer.append.after"),
    (Way::Replay, "producer.extract.after"),
    (Way::Replay, "republish.delete.before:2"),
    (Way::Replay, "republish.end.before"),
];
const WORKING: &[(Way, &str)] = &[
    (Way::Work, "consumer.heal.before"),
    (Way::Work, "consumer.heal.after"),
    (Way::Work, "consumer.adopt.before"),
    (Way::Work, "consumer.adopt.after"),
    (Way::Work, "consumer.claim.before"),
    (Way::Work, "consumer.claim.after"),
    (Way::Work, "consumer.read.before"),
    (Way::Work, "consumer.read.after"),
    (Way::Work, "consumer.fetch.before"),
    (Way::Work, "consumer.fetch.after"),
    (Way::WorkSlowly, "consumer.renew.before"),
    (Way::WorkSlowly, "consumer.renew.after"),
    (Way::WorkRefused, "consumer.give_back.before"),
    (Way::WorkRefused, "consumer.give_back.after"),
    (Way::WorkPoisoned, "consumer.fetch.poison"),
    (Way::Work, "consumer.commit.before"),
    (Way::Work, "consumer.commit.after"),
    (Way::Work, "consumer.dead.before"),
    (Way::Work, "consumer.dead.after"),
    (Way::Work, "consumer.ack.before"),
    (Way::Work, "consumer.ack.after"),
    (Way::Work, "consumer.leave.before"),
    (Way::Work, "consumer.leave.after"),
    (Way::FailedThenRetry, "consumer.dead.after"),
    (Way::FailedThenReplay, "consumer.dead.after"),
    (Way::StoredThenCancel, "consumer.commit.after"),
    (Way::RetriedThenPruned, "consumer.commit.after"),
    (Way::RetriedThenPruned, "consumer.commit.before"),
];

const GROUPS: [&[(Way, &str)]; 5] = [EXTRACTING, RELAYING, IMPORTING, REPUBLISHING, WORKING];

/// One test of a group on a backend.
macro_rules! survive {
    ($($name:ident: $group:ident on $backend:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            LocalSet::new().run_until(walk(Backend::$backend, $group)).await;
        })+
    };
}

survive! {
    extracting_with_files_survives_a_kill_anywhere: EXTRACTING on Embedded,
    extracting_with_servers_survives_a_kill_anywhere: EXTRACTING on Servers,
    relaying_with_files_survives_a_kill_anywhere: RELAYING on Embedded,
    relaying_with_servers_survives_a_kill_anywhere: RELAYING on Servers,
    importing_with_files_survives_a_kill_anywhere: IMPORTING on Embedded,
    importing_with_servers_survives_a_kill_anywhere: IMPORTING on Servers,
    republishing_with_files_survives_a_kill_anywhere: REPUBLISHING on Embedded,
    republishing_with_servers_survives_a_kill_anywhere: REPUBLISHING on Servers,
    working_with_files_survives_a_kill_anywhere: WORKING on Embedded,
    working_with_servers_survives_a_kill_anywhere: WORKING on Servers,
}

/// Walks over the group's points, and fails with everything that any of them did not survive.
async fn walk(backend: Backend, group: &'static [(Way, &'static str)]) {
    let sim = Sim::start(["--cities", "1"]).await;
    let mut waiting = group.iter();
    let mut running = JoinSet::new();
    let mut begun: HashMap<Id, (Way, &str)> = HashMap::new();
    let mut wrong = Vec::new();
    loop {
        while running.len() < AT_A_TIME
            && let Some((way, at)) = waiting.next()
        {
            let sim_url = sim.url().to_owned();
            let case = running.spawn_local(async move {
                let case = Case { backend, way: *way, at, sim_url: &sim_url };
                case.survive().await
            });
            begun.insert(case.id(), (*way, at));
        }
        let Some(ended) = running.join_next_with_id().await else { break };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let (way, at) = begun[&id];
        let faults = match ended {
            Ok((_, faults)) => faults,
            Err(panic) => vec![format!("it ended early: {}", said(panic))],
        };
        println!(
            "{backend:?} {way:?} {at}: {}",
            if faults.is_empty() { "survived" } else { "LOST" }
        );
        wrong.extend(faults.into_iter().map(|fault| format!("{way:?} at {at}: {fault}")));
    }
    assert!(wrong.is_empty(), "on {backend:?}\n{}", wrong.join("\n"));
}

/// What a failed expectation in a case said.
fn said(panic: JoinError) -> String {
    let payload = panic.into_panic();
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic above".to_owned())
}

#[test]
fn every_point_of_the_sources_is_walked_over() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "shared", "producer/src", "consumer/src", "api/src"] {
        points_in(&root.join(folder), &mut found);
    }
    let listed: BTreeSet<String> = POINTS.iter().map(|point| (*point).to_owned()).collect();
    assert_eq!(found, listed, "the sources' points and isobar_failpoint::POINTS");
    let walked: BTreeSet<String> = GROUPS
        .iter()
        .flat_map(|group| group.iter())
        .map(|(_, at)| at.split(':').next().unwrap_or(at).to_owned())
        .collect();
    assert_eq!(walked, listed, "each point needs a row in a table of this file");
}

/// The names in `isobar_failpoint::hit("…")` and `isobar_failpoint::hit_with_key("…", …)` of every file below.
fn points_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            points_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            for call in ["hit(", "hit_with_key("].map(|name| format!("failpoint::{name}\"")) {
                let names = text.split(&call).skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
}
