//! `/bulk/jobs/{id}/events`: a job as it goes on, for who keeps a page open.
//!
//! However many listen to a job, one task looks at it ([`Watches`]); it ends with its last listener,
//! with the job, or with the server. An event is the job's whole state, so one that was missed is
//! made good by the next; its id stands for that state, and who has it already (`Last-Event-ID`) is
//! not sent it again. A job that has ended is `done` at once, and the stream ends.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use isobar_model::ids::JobId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::ToSchema;

use super::jobs::{JobState, state, unknown};
use crate::http::params::Id;
use crate::http::problem::Problem;
use crate::state::Shared;

/// How often a watched job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A silence longer than this would make proxies think that the stream is dead.
const HEARTBEAT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(5);
const LAST_EVENT_ID: &str = "last-event-id";

/// The jobs that somebody listens to.
#[derive(Default)]
pub struct Watches(Mutex<HashMap<JobId, watch::Sender<Arc<Seen>>>>);

/// A job's state as it is sent.
#[derive(Debug, PartialEq)]
struct Seen {
    id: String,
    json: String,
    ended: bool,
}

/// An event, for the document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its fields are what the document says of them")]
pub struct JobEvent {
    /// `progress` or `done`.
    event: String,
    /// Stands for the state; sent back as `Last-Event-ID`.
    id: String,
    /// The job as `/bulk/jobs/{id}` shows it, as JSON.
    data: String,
}

/// A job's state whenever it changes
///
/// `progress` events while it goes on, one `done` at the end; each is the job as `/bulk/jobs/{id}`
/// shows it.
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}/events",
    params(
        ("id" = uuid::Uuid, Path, description = "the job"),
        ("Last-Event-ID" = Option<String>, Header, description = "the last event that is known"),
    ),
    responses((status = 200, body = JobEvent, content_type = "text/event-stream",
               description = "server-sent events")),
)]
pub async fn listen(
    State(app): State<Shared>,
    Id(id): Id<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = app.store.job(id).await?.ok_or_else(unknown)?;
    let permit = Arc::clone(&app.listeners).try_acquire_owned().map_err(|_| {
        let detail = "too many listen already; ask for the job's state instead, or try again";
        Problem::unavailable("overloaded", detail, BUSY_PAUSE)
    })?;
    let known = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let first = Arc::new(Seen::of(&state(&app, row).await));
    let seen = if first.ended { watch::channel(first).1 } else { subscribe(&app, id, first) };
    let events = events(Listener { seen, known, over: false, _permit: permit });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Joins those who listen to the job, or starts looking at it.
fn subscribe(app: &Shared, id: JobId, first: Arc<Seen>) -> watch::Receiver<Arc<Seen>> {
    let mut watched = app.watches.lock();
    if let Some(sender) = watched.get(&id) {
        return sender.subscribe();
    }
    let (sender, receiver) = watch::channel(first);
    watched.insert(id, sender.clone());
    app.tasks.spawn(look_on(Arc::clone(app), id, sender));
    receiver
}

/// Looks at the job until it has ended or nobody listens any more.
async fn look_on(app: Shared, id: JobId, sender: watch::Sender<Arc<Seen>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        {
            // Under the lock: nobody joins between the look and the end.
            let mut watched = app.watches.lock();
            let ended = sender.borrow().ended;
            if app.is_draining() || ended || sender.receiver_count() == 0 {
                watched.remove(&id);
                return;
            }
        }
        // A store that is away makes a pause in the stream, not its end.
        if let Ok(Some(row)) = app.store.job(id).await {
            let now = Seen::of(&state(&app, row).await);
            sender.send_if_modified(|seen| {
                let changed = **seen != now;
                if changed {
                    *seen = Arc::new(now);
                }
                changed
            });
        }
    }
}

struct Listener {
    seen: watch::Receiver<Arc<Seen>>,
    /// The id of the event that the client has.
    known: Option<String>,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        if listener.over {
            return None;
        }
        loop {
            let seen = Arc::clone(&listener.seen.borrow_and_update());
            if seen.ended || listener.known.as_ref() != Some(&seen.id) {
                listener.over = seen.ended;
                listener.known = Some(seen.id.clone());
                let name = if seen.ended { "done" } else { "progress" };
                let event = Event::default().event(name).id(&seen.id).data(&seen.json);
                return Some((Ok(event), listener));
            }
            // Who looked has gone: the server ends.
            listener.seen.changed().await.ok()?;
        }
    })
}

impl Seen {
    fn of(job: &JobState) -> Self {
        let paused = if job.paused_reason.is_some() { ".paused" } else { "" };
        Self {
            id: format!("{}.{}.{}{paused}", job.processed, job.failed, job.status.as_str()),
            json: serde_json::to_string(job).expect("a job is plain data"),
            ended: job.status.is_final(),
        }
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Arc<Seen>>>> {
        // What a panic elsewhere left is a map all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
