//! One look at everything that the page shows: asked at once, each answer with a limit of its own.
//!
//! A look is plain data, so panels are pure functions of it. It is built on the look before: what
//! does not answer now is shown as it was, and what is dear (counts of whole tables, histories) is
//! asked for only every few looks.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{ConsumerInfo, Depth, Switches, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_model::quota::QuotaLimits;
use isobar_producer::outbox::OutboxDepth;
use isobar_store::{DeadGroup, FailureGroup, Operation, PipelineTotals, StoreError, Totals};
use isobar_telemetry::chain;
use isobar_upstream::UpstreamState;

use super::last_known::Known;
use super::throughput::{Beat, Bucket};
use crate::resources::bulk::jobs::{self, JobState};
use crate::resources::schedules::{self, ScheduleState};
use crate::state::App;

/// Jobs that are looked at: what runs is among the newest.
const JOBS: u32 = 50;
/// Ticks of each schedule, and operations.
const HISTORY: u32 = 8;
/// How old an answer may be that reads whole tables.
const DEAR_EVERY: TimeDelta = TimeDelta::seconds(4);

/// Everything, as of `at`.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: DateTime<Utc>,
    pub store: Part,
    pub broker: Part,
    pub upstream: Known<UpstreamState>,
    pub quota_limits: QuotaLimits,
    pub depth: Known<Depth>,
    pub consumers: Known<Vec<ConsumerInfo>>,
    pub beats: Known<Vec<Beat>>,
    pub switches: Known<Switches>,
    /// The outbox of imports here.
    pub outbox: Known<OutboxDepth>,
    pub jobs: Known<Vec<JobState>>,
    pub operations: Known<Vec<Operation>>,
    pub schedules: Known<Vec<ScheduleState>>,
    pub dead: Known<Vec<DeadGroup>>,
    pub failures: Known<Vec<FailureGroup>>,
    pub totals: Known<Totals>,
    /// What is unfinished of the users' stream.
    pub users: Known<Depth>,
    pub pipelines: Known<HashMap<PipelineName, PipelineTotals>>,
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

impl Look {
    /// Nothing is known yet.
    pub fn blank(app: &App) -> Self {
        let part = |kind, location| Part { kind, location, trouble: None };
        Self {
            at: DateTime::UNIX_EPOCH,
            store: part(app.store.kind(), app.store.location()),
            broker: part(app.broker.kind(), app.broker.location()),
            upstream: Known::default(),
            quota_limits: app.settings.quota_limits(),
            depth: Known::default(),
            consumers: Known::default(),
            beats: Known::default(),
            switches: Known::default(),
            outbox: Known::default(),
            jobs: Known::default(),
            operations: Known::default(),
            schedules: Known::default(),
            dead: Known::default(),
            failures: Known::default(),
            totals: Known::default(),
            users: Known::default(),
            pipelines: Known::default(),
            pulse: Vec::new(),
            dear_at: None,
        }
    }

    /// Looks again, knowing what was seen before.
    pub async fn again(&self, app: &App) -> Self {
        let now = Utc::now();
        let dear = self.dear_at.is_none_or(|asked| now - asked >= DEAR_EVERY);
        let jobs = async {
            let rows = app.store.jobs(None, JOBS).await?;
            Ok::<_, StoreError>(jobs::states(app, rows).await)
        };
        let upstream = async { Ok::<_, String>(app.upstream.state().await) };
        let (depth, consumers, beats, switches) = tokio::join!(
            self.depth.ask(said(app.broker.depth(&app.topic, app.settings.claim_idle.0))),
            self.consumers.ask(said(app.broker.consumers(&app.topic))),
            self.beats.ask(beats(app)),
            self.switches.ask(said(app.broker.switches(&app.topic))),
        );
        let (outbox, jobs, operations, upstream) = tokio::join!(
            self.outbox.ask(said(app.imports.outbox().depth())),
            self.jobs.ask(said(jobs)),
            self.operations.ask(said(app.store.operations(None, HISTORY))),
            self.upstream.ask(upstream),
        );
        let users = Topic::of(PipelineName::Users, &app.settings);
        let (schedules, dead, failures, totals, users, pipelines) = if dear {
            tokio::join!(
                self.schedules.ask(said(schedules::states(app, HISTORY))),
                self.dead.ask(said(app.dead_groups())),
                self.failures.ask(said(app.store.failures(HISTORY))),
                self.totals.ask(said(app.totals())),
                self.users.ask(said(app.broker.unfinished_of(&users, app.settings.claim_idle.0))),
                self.pipelines.ask(said(app.store.pipeline_totals())),
            )
        } else {
            let known = self.clone();
            (
                known.schedules,
                known.dead,
                known.failures,
                known.totals,
                known.users,
                known.pipelines,
            )
        };
        Self {
            at: now,
            store: Part { trouble: jobs.trouble.clone(), ..self.store.clone() },
            broker: Part { trouble: depth.trouble.clone(), ..self.broker.clone() },
            upstream,
            quota_limits: self.quota_limits,
            depth,
            consumers,
            beats,
            switches,
            outbox,
            jobs,
            operations,
            schedules,
            dead,
            failures,
            totals,
            users,
            pipelines,
            pulse: self.pulse.clone(),
            dear_at: if dear { Some(now) } else { self.dear_at },
        }
    }
}

/// What the roles say of themselves; what cannot be read counts as silence.
pub async fn beats(app: &App) -> Result<Vec<Beat>, String> {
    Ok(said(app.broker.heartbeats()).await?.into_iter().filter_map(Beat::read).collect())
}

/// The whole chain of an error, as text.
async fn said<T, E: std::error::Error + 'static>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    answer.await.map_err(|error| chain(&error))
}
