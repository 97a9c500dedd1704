//! `GET /bulk/jobs/{id}/events`: every change of a job as server-sent events.
//!
//! Guarantees: one task polls a job for all of its listeners. It ends with the last listener, with the
//! job, or with the server. An event is the job's whole state, so a missed event is repaired by the
//! next. Its id identifies that state; a client that already has it (`Last-Event-ID`) does not get it
//! again. A finished job sends `done` at once, and the stream ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use isobar_model::ids::JobId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::ToSchema;

use super::jobs::{unknown, view};
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;
use crate::state::job_watches::JobEventState;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Proxies close a connection that is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(5);
const LAST_EVENT_ID: &str = "last-event-id";

/// An event as the document describes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct JobEvent {
    /// `progress` or `done`.
    event: String,
    /// Identifies the state; sent back as `Last-Event-ID`.
    id: String,
    /// The job as `/bulk/jobs/{id}` shows it, as JSON.
    data: String,
}

/// Changes of a job (server-sent events)
///
/// `progress` while it runs and one `done` at the end, each with the job as `/bulk/jobs/{id}` shows it.
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}/events",
    params(
        ("id" = uuid::Uuid, Path, description = "job id"),
        ("Last-Event-ID" = Option<String>, Header, description = "id of the last received event"),
    ),
    responses((status = 200, body = JobEvent, content_type = "text/event-stream",
               description = "server-sent events")),
)]
pub async fn listen(
    State(app): State<SharedState>,
    PathId(id): PathId<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = app.store.job(id).await?.ok_or_else(unknown)?;
    let permit = Arc::clone(&app.listeners).try_acquire_owned().map_err(|_| {
        let detail = "too many listeners; request the job instead, or try again";
        Problem::unavailable("overloaded", detail, BUSY_PAUSE)
    })?;
    let known = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let first = Arc::new(JobEventState::from(&view(&app, row).await));
    let latest = if first.ended { watch::channel(first).1 } else { subscribe(&app, id, first) };
    let events = events(Listener { latest, known, ended: false, _permit: permit });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Joins the listeners of the job, or starts the task that polls it.
fn subscribe(
    app: &SharedState,
    id: JobId,
    first: Arc<JobEventState>,
) -> watch::Receiver<Arc<JobEventState>> {
    let mut watched = app.watches.lock();
    if let Some(sender) = watched.get(&id) {
        return sender.subscribe();
    }
    let (sender, receiver) = watch::channel(first);
    watched.insert(id, sender.clone());
    app.tasks.spawn(watch_job(Arc::clone(app), id, sender));
    receiver
}

/// Polls the job until it has ended or has no listener.
async fn watch_job(app: SharedState, id: JobId, sender: watch::Sender<Arc<JobEventState>>) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        {
            // Under the lock, so that no listener joins between the check and the end.
            let mut watched = app.watches.lock();
            let ended = sender.borrow().ended;
            if app.phase.is_draining() || ended || sender.receiver_count() == 0 {
                watched.remove(&id);
                return;
            }
        }
        // While the store is unavailable the stream pauses; it does not end.
        if let Ok(Some(row)) = app.store.job(id).await {
            let now = JobEventState::from(&view(&app, row).await);
            sender.send_if_modified(|latest| {
                let changed = **latest != now;
                if changed {
                    *latest = Arc::new(now);
                }
                changed
            });
        }
    }
}

struct Listener {
    latest: watch::Receiver<Arc<JobEventState>>,
    /// The id of the last event that the client has.
    known: Option<String>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        if listener.ended {
            return None;
        }
        loop {
            let state = Arc::clone(&listener.latest.borrow_and_update());
            if state.ended || listener.known.as_ref() != Some(&state.id) {
                listener.ended = state.ended;
                listener.known = Some(state.id.clone());
                let name = if state.ended { "done" } else { "progress" };
                let event = Event::default().event(name).id(&state.id).data(&state.json);
                return Some((Ok(event), listener));
            }
            // An error means that the task has ended: the server is shutting down.
            listener.latest.changed().await.ok()?;
        }
    })
}
