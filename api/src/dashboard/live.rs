//! `/live`: the panels that changed, once a second, for every open page.
//!
//! Guarantees: refreshing and rendering happen once for all viewers ([`super::refresh`]); a connection
//! only compares what it has sent with the newest rendering. Every refresh is an event, also one
//! without a change, so a page knows how old it is. A stream ends with the server, and when the
//! browser has signed out.
//!
//! Does not: number events. The first event of a connection has every panel, so none can be missed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures::stream::unfold;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::refresh::FRESH_FOR;
use crate::http::problem::Problem;
use crate::panels::format::rfc3339;
use crate::state::SharedState;
use crate::state::viewers::{Frame, RenderedSnapshot};

/// Keeps proxies from closing a silent connection.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Dashboard updates (server-sent events)
///
/// Once a second `event: state` with `{"at", "panels": {name: HTML}}`: first all panels, then the
/// changed ones.
#[utoipa::path(
    get,
    path = "/live",
    responses((status = 200, description = "server-sent events, until the server ends",
               body = String, content_type = "text/event-stream")),
)]
pub async fn live(State(app): State<SharedState>, headers: HeaderMap) -> Result<Response, Problem> {
    let full = |detail| Problem::unavailable("overloaded", detail, RETRY_AFTER);
    if app.phase.is_draining() {
        return Err(full("this server is shutting down"));
    }
    let slot = Arc::clone(&app.viewers.slots).try_acquire_owned();
    let slot = slot.map_err(|_| full("too many open pages; this one is not updated"))?;
    let mut frames = app.viewers.frames.subscribe();
    frames.mark_changed();
    let viewer = Viewer { app, headers, frames, sent: BTreeMap::new(), _slot: slot };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT_EVERY);
    Ok(Sse::new(unfold(viewer, next)).keep_alive(keep_alive).into_response())
}

/// One open page.
struct Viewer {
    app: SharedState,
    /// Of the request: its session must stay valid.
    headers: HeaderMap,
    frames: watch::Receiver<Frame>,
    /// Each panel as it was last sent.
    sent: BTreeMap<&'static str, Arc<str>>,
    _slot: OwnedSemaphorePermit,
}

#[derive(Serialize)]
struct PanelChange<'a> {
    at: String,
    panels: BTreeMap<&'static str, &'a str>,
}

async fn next(mut viewer: Viewer) -> Option<(Result<Event, Infallible>, Viewer)> {
    loop {
        viewer.frames.changed().await.ok()?;
        let frame = viewer.frames.borrow_and_update().clone();
        match frame {
            Frame::Ended => return None,
            // A snapshot from before this page was opened may be old.
            Frame::Rendered(snapshot) if Utc::now() - snapshot.at < FRESH_FOR * 2 => {
                if !viewer.app.access.remains_authorised(&viewer.headers) {
                    return None;
                }
                let event = viewer.event(&snapshot);
                return Some((Ok(event), viewer));
            }
            Frame::Rendered(_) | Frame::Empty => {}
        }
    }
}

impl Viewer {
    fn event(&mut self, snapshot: &RenderedSnapshot) -> Event {
        let changed: Vec<_> = snapshot
            .panels
            .iter()
            .filter(|(name, html)| self.sent.get(*name).is_none_or(|sent| sent != *html))
            .map(|(name, html)| (*name, Arc::clone(html)))
            .collect();
        let state = PanelChange {
            at: rfc3339(snapshot.at),
            panels: changed.iter().map(|(name, html)| (*name, &**html)).collect(),
        };
        let event = Event::default().event("state").json_data(state).expect("text is JSON");
        self.sent.extend(changed);
        event
    }
}
