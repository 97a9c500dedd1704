//! Refreshes the dashboard snapshot: asks store, broker and upstream, and renders the panels.
//!
//! Guarantees: one refresh a second at most, shared by all viewers. Each answer has its own timeout.
//! Expensive parts (table counts, histories) refresh every 4 seconds. Without a viewer only the
//! heartbeats are read, for the throughput of the last minutes.
//!
//! Next: [`crate::panels`] (what is rendered), [`super::live`] (how it reaches the browser).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{Broker, BrokerError};
use isobar_settings::Settings;
use isobar_store::{Store, StoreError};
use isobar_upstream::WeatherService;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::panels;
use crate::panels::snapshot::{Component, DashboardSnapshot};
use crate::panels::throughput::{BUCKET_SECONDS, Heartbeat};
use crate::resources::bulk::jobs;
use crate::resources::schedules;
use crate::state::viewers::{Frame, RenderedSnapshot};
use crate::state::{AppState, SharedState};

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A page that is loaded shows a snapshot that is at most this old.
pub const FRESH_FOR: TimeDelta = TimeDelta::seconds(1);
const EXPENSIVE_REFRESH: TimeDelta = TimeDelta::seconds(4);
/// Jobs that are read: the running ones are among the newest.
const JOBS: u32 = 50;
/// Ticks of each schedule, and operations.
const HISTORY: u32 = 8;

/// A snapshot before the first refresh.
pub fn empty(settings: &Settings, store: &Store, broker: &Broker) -> DashboardSnapshot {
    let component = |kind, location| Component { kind, location, error: None };
    DashboardSnapshot {
        store: component(store.kind(), store.location()),
        broker: component(broker.kind(), broker.location()),
        quota_limits: settings.quota_limits(),
        ..DashboardSnapshot::default()
    }
}

/// The newest rendering, refreshed first if it is older than [`FRESH_FOR`].
pub async fn current(app: &AppState) -> Result<Arc<RenderedSnapshot>, askama::Error> {
    let mut snapshot = app.viewers.latest.lock().await;
    if let Frame::Rendered(frame) = &*app.viewers.frames.borrow()
        && Utc::now() - snapshot.at < FRESH_FOR
    {
        return Ok(Arc::clone(frame));
    }
    Box::pin(refresh(&mut snapshot, app)).await;
    let panels = panels::render(&snapshot)?;
    let frame = Arc::new(RenderedSnapshot { at: snapshot.at, panels });
    app.viewers.frames.send_replace(Frame::Rendered(Arc::clone(&frame)));
    Ok(frame)
}

/// Refreshes while there are viewers, and counts the throughput always, until `shutdown`.
pub async fn refresh_loop(app: SharedState, shutdown: CancellationToken) {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seconds = 0;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if seconds % BUCKET_SECONDS == 0 {
            let heartbeats = tokio::time::timeout(POLL_INTERVAL, heartbeats(&app)).await;
            let heartbeats = heartbeats.ok().and_then(Result::ok).unwrap_or_default();
            app.viewers.throughput().add(&heartbeats, Utc::now());
        }
        seconds += 1;
        if app.viewers.frames.receiver_count() > 0
            && let Some(Err(error)) = shutdown.run_until_cancelled(current(&app)).await
        {
            tracing::error!(%error, "the page cannot be rendered");
        }
    }
    app.viewers.frames.send_replace(Frame::Ended);
}

async fn refresh(snapshot: &mut DashboardSnapshot, app: &AppState) {
    let now: DateTime<Utc> = Utc::now();
    let claim_idle = app.settings.claim_idle.0;
    tokio::join!(
        snapshot.depth.update(app.broker.depth(&app.topic, claim_idle)),
        snapshot.consumers.update(app.broker.consumers(&app.topic)),
        snapshot.heartbeats.update(heartbeats(app)),
        snapshot.flags.update(app.broker.flags(&app.topic)),
    );
    let jobs = async {
        let rows = app.store.jobs(None, JOBS).await?;
        Ok::<_, StoreError>(jobs::views(app, rows).await)
    };
    tokio::join!(
        snapshot.outbox.update(app.imports.outbox().depth()),
        snapshot.jobs.update(jobs),
        snapshot.operations.update(app.store.operations(None, HISTORY)),
        snapshot.upstream.update(async {
            Ok::<_, Infallible>(app.upstream.state(WeatherService::Forecast).await)
        }),
    );
    if snapshot.expensive_at.is_none_or(|at| now - at >= EXPENSIVE_REFRESH) {
        tokio::join!(
            snapshot.schedules.update(schedules::views(app, HISTORY)),
            snapshot.dead.update(app.dead_groups()),
            snapshot.failures.update(app.store.failures(HISTORY)),
            snapshot.totals.update(app.totals()),
            snapshot.depths.update(app.broker.depths(&app.settings)),
            snapshot.pipelines.update(app.store.pipeline_totals()),
        );
        snapshot.expensive_at = Some(now);
    }
    snapshot.store.error.clone_from(&snapshot.jobs.error);
    snapshot.broker.error.clone_from(&snapshot.depth.error);
    snapshot.throughput = app.viewers.throughput().buckets();
    snapshot.at = now;
}

/// Heartbeats that cannot be read count as absent.
async fn heartbeats(app: &AppState) -> Result<Vec<Heartbeat>, BrokerError> {
    Ok(app.broker.heartbeats().await?.into_iter().filter_map(Heartbeat::read).collect())
}
