//! One look at everything that the page shows: asked at once, each answer with a limit of its own.
//!
//! A look is plain data, so panels are pure functions of it. It is built on the look before: what
//! does not answer now is shown as it was, and what is dear (counts of whole tables) is asked for
//! only every few looks.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_producer::outbox::OutboxDepth;
use isobar_shared::broker::{ConsumerInfo, Depth, QuotaLimits};
use isobar_shared::store::Totals;
use isobar_shared::telemetry::chain;
use isobar_shared::upstream::UpstreamState;
use serde::Deserialize;

use super::known::Known;
use super::pulse::Bucket;
use crate::bulk::jobs::{self, JobState};
use crate::state::App;

/// Jobs that are looked at: all that run are among the newest, or the page says that some are not.
const JOBS: u32 = 100;
/// How old an answer may be that reads whole tables.
const DEAR_EVERY: Duration = Duration::from_secs(5);

/// Everything, as of `at`.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: DateTime<Utc>,
    pub store: Part,
    pub broker: Part,
    pub stream: String,
    pub upstream: Known<UpstreamState>,
    pub quota_limits: QuotaLimits,
    pub depth: Known<Depth>,
    pub consumers: Known<Vec<ConsumerInfo>>,
    pub beats: Known<Vec<Beat>>,
    /// The outbox of imports here.
    pub outbox: Known<OutboxDepth>,
    pub jobs: Known<Vec<JobState>>,
    pub totals: Known<Totals>,
    pub pulse: Vec<Bucket>,
    dear_at: Option<DateTime<Utc>>,
}

/// Store or broker: what and where it is, and whether it answered this time.
#[derive(Clone, Debug)]
pub struct Part {
    pub kind: &'static str,
    pub location: String,
    pub trouble: Option<String>,
}

/// What a role says of itself; unknown fields are read over, missing ones are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// `<role>:<instance>`.
    pub name: String,
    pub state: BeatState,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BeatState {
    pub at: Option<DateTime<Utc>>,
    pub held: u64,
    pub entries: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub paused_reason: Option<String>,
    pub paused_until: Option<DateTime<Utc>>,
    pub upstream: Option<UpstreamBeat>,
}

/// What a worker knows of the upstream.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UpstreamBeat {
    pub host: String,
    pub breaker: String,
    pub breaker_until: Option<DateTime<Utc>>,
    pub config_error: Option<String>,
}

impl Beat {
    pub fn is_worker(&self) -> bool {
        self.name.starts_with("worker:")
    }

    /// The worker's name in the stream.
    pub fn worker(&self) -> Option<&str> {
        self.name.strip_prefix("worker:")
    }
}

impl Look {
    /// Nothing is known yet.
    pub fn blank(app: &App) -> Self {
        let part = |kind, location| Part { kind, location, trouble: None };
        Self {
            at: DateTime::UNIX_EPOCH,
            store: part(app.store.kind(), app.store.location()),
            broker: part(app.broker.kind(), app.broker.location()),
            stream: app.settings.stream.clone(),
            upstream: Known::default(),
            quota_limits: app.settings.quota_limits(),
            depth: Known::default(),
            consumers: Known::default(),
            beats: Known::default(),
            outbox: Known::default(),
            jobs: Known::default(),
            totals: Known::default(),
            pulse: Vec::new(),
            dear_at: None,
        }
    }
}

/// Looks again, knowing what was seen `before`.
pub async fn look(app: &App, before: &Look, pulse: Vec<Bucket>) -> Look {
    let now = Utc::now();
    let dear = before.dear_at.is_none_or(|asked| now - asked >= dear_every());
    let totals = async {
        if dear { before.totals.ask(said(app.store.totals())).await } else { before.totals.clone() }
    };
    let upstream = async { Ok::<_, String>(app.upstream.state().await) };
    let (depth, consumers, beats, outbox, rows, totals, upstream) = tokio::join!(
        before.depth.ask(said(app.broker.depth(&app.topic, app.settings.claim_idle.0))),
        before.consumers.ask(said(app.broker.consumers(&app.topic))),
        before.beats.ask(beats(app)),
        before.outbox.ask(said(app.imports.outbox().depth())),
        Known::default().ask(said(app.store.jobs(None, JOBS))),
        totals,
        before.upstream.ask(upstream),
    );
    let jobs = match rows.value {
        Some(rows) => Known::of(jobs::states(app, rows, now).await),
        None => Known { value: before.jobs.value.clone(), trouble: rows.trouble },
    };
    Look {
        at: now,
        store: Part { trouble: jobs.trouble.clone(), ..before.store.clone() },
        broker: Part { trouble: depth.trouble.clone(), ..before.broker.clone() },
        stream: before.stream.clone(),
        upstream,
        quota_limits: before.quota_limits,
        depth,
        consumers,
        beats,
        outbox,
        jobs,
        totals,
        pulse,
        dear_at: if dear { Some(now) } else { before.dear_at },
    }
}

/// What the roles say of themselves; what cannot be read counts as silence.
pub async fn beats(app: &App) -> Result<Vec<Beat>, String> {
    let beats = said(app.broker.heartbeats()).await?;
    let beat = |(name, state)| {
        let state = serde_json::from_value(state).ok()?;
        Some(Beat { name, state })
    };
    Ok(beats.into_iter().filter_map(beat).collect())
}

/// The whole chain of an error, as text.
async fn said<T, E: std::error::Error + 'static>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    answer.await.map_err(|error| chain(&error))
}

fn dear_every() -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(DEAR_EVERY).expect("a few seconds")
}
