//! `/live`: the panels that changed, once a second, for every page that is open.
//!
//! Looking and rendering happen once for all ([`keep_looking`]); a connection only compares what it
//! sent with what there is. Every look is an event, also one that changed nothing, so that a page
//! knows how old it is. A stream ends with the server, and when the browser has signed out.
//!
//! Deliberately absent: event ids. The first event of a connection brings every panel, so nothing
//! can be missed between two connections.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::unfold;
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::http::problem::Problem;
use crate::panels::format::stamp;
use crate::panels::snapshot::{Look, beats};
use crate::panels::throughput::{BUCKET_SECONDS, Pulse};
use crate::panels::{self, Panels};
use crate::state::{App, Shared};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A page that is loaded shows a look that is no older.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(1);
/// Pages that may be open at once.
const MAX_WATCHERS: usize = 200;
/// So that a proxy does not take the silence for an end.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is seen, for all who watch.
pub struct Live {
    seen: Mutex<Option<Look>>,
    pulse: std::sync::Mutex<Pulse>,
    frames: watch::Sender<Frame>,
    places: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
enum Frame {
    /// Nobody has looked yet.
    Blank,
    Seen(Arc<Seen>),
    /// The server ends.
    Ended,
}

/// A look and its rendering.
#[derive(Debug)]
pub struct Seen {
    pub at: DateTime<Utc>,
    pub panels: Panels,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            pulse: std::sync::Mutex::default(),
            frames: watch::Sender::new(Frame::Blank),
            places: Arc::new(Semaphore::new(MAX_WATCHERS)),
        }
    }
}

impl Live {
    /// What there is to see now: one look for all who ask within a second.
    pub async fn now(&self, app: &App) -> Result<Arc<Seen>, askama::Error> {
        let mut seen = self.seen.lock().await;
        if let (Some(look), Frame::Seen(frame)) = (&*seen, &*self.frames.borrow())
            && Utc::now() - look.at < FRESH_FOR
        {
            return Ok(Arc::clone(frame));
        }
        let mut look = match &*seen {
            Some(before) => Box::pin(before.again(app)).await,
            None => Box::pin(Look::blank(app).again(app)).await,
        };
        look.pulse = self.pulse().buckets();
        let frame = Arc::new(Seen { at: look.at, panels: panels::render(&look)? });
        *seen = Some(look);
        self.frames.send_replace(Frame::Seen(Arc::clone(&frame)));
        Ok(frame)
    }

    fn pulse(&self) -> std::sync::MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Looks as long as anybody watches, and feels the pulse always, until `shutdown`.
pub async fn keep_looking(app: Shared, shutdown: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seconds = 0;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if seconds % BUCKET_SECONDS == 0 {
            let heard = tokio::time::timeout(LOOK_EVERY, beats(&app)).await;
            let heard = heard.ok().and_then(Result::ok).unwrap_or_default();
            app.live.pulse().beat(&heard, Utc::now());
        }
        seconds += 1;
        if app.live.frames.receiver_count() > 0
            && let Some(Err(error)) = shutdown.run_until_cancelled(app.live.now(&app)).await
        {
            tracing::error!(%error, "the page cannot be rendered");
        }
    }
    app.live.frames.send_replace(Frame::Ended);
}

/// What changed on the page, once a second
///
/// `event: state` with `{"at", "panels": {name: HTML}}`: all panels first, then those that changed.
#[utoipa::path(
    get,
    path = "/live",
    responses((status = 200, description = "server-sent events, until the server ends",
               body = String, content_type = "text/event-stream")),
)]
pub async fn live(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let full = |detail| Problem::unavailable("overloaded", detail, RETRY_AFTER);
    if app.is_draining() {
        return Err(full("this server is shutting down"));
    }
    let place = Arc::clone(&app.live.places).try_acquire_owned();
    let place = place.map_err(|_| full("too many pages are open; this one shows no changes"))?;
    let mut frames = app.live.frames.subscribe();
    frames.mark_changed();
    let watcher = Watcher { app, headers, frames, sent: BTreeMap::new(), _place: place };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT_EVERY);
    Ok(Sse::new(unfold(watcher, next)).keep_alive(keep_alive).into_response())
}

/// One open page.
struct Watcher {
    app: Shared,
    /// Of the request: the session must last.
    headers: HeaderMap,
    frames: watch::Receiver<Frame>,
    /// What each panel was when it was sent.
    sent: BTreeMap<&'static str, Arc<str>>,
    _place: OwnedSemaphorePermit,
}

/// What an event holds.
#[derive(Serialize)]
struct Change<'a> {
    at: String,
    panels: BTreeMap<&'static str, &'a str>,
}

async fn next(mut watcher: Watcher) -> Option<(Result<Event, Infallible>, Watcher)> {
    loop {
        watcher.frames.changed().await.ok()?;
        let frame = watcher.frames.borrow_and_update().clone();
        match frame {
            Frame::Ended => return None,
            // What was seen before this page was opened may be old.
            Frame::Seen(seen) if Utc::now() - seen.at < FRESH_FOR * 2 => {
                if !watcher.app.access.knows(&watcher.headers) {
                    return None;
                }
                let event = watcher.event(&seen);
                return Some((Ok(event), watcher));
            }
            Frame::Seen(_) | Frame::Blank => {}
        }
    }
}

impl Watcher {
    fn event(&mut self, seen: &Seen) -> Event {
        let changed: Vec<_> = seen
            .panels
            .iter()
            .filter(|(name, html)| self.sent.get(*name).is_none_or(|sent| sent != *html))
            .map(|(name, html)| (*name, Arc::clone(html)))
            .collect();
        let state = Change {
            at: stamp(seen.at),
            panels: changed.iter().map(|(name, html)| (*name, &**html)).collect(),
        };
        let event = Event::default().event("state").json_data(state).expect("text is JSON");
        self.sent.extend(changed);
        event
    }
}
