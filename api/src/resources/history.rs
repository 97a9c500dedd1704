//! `/history`: what was asked for, newest first.
//!
//! [`History::record`] only queues; one writer puts what has gathered into the store in batches, at
//! most 200 ms later. A read or a clearing by this process waits for what it recorded before, and
//! so does the end of the server, so nobody misses a search of their own. When the store is away
//! the queue fills and further searches are dropped and counted: they never hold up the weather.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use isobar_store::{Action, NewOperation, Store, StoreError};
use isobar_telemetry::metric::Metric;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use crate::http::actor::Actor;
use crate::http::cursor::{self, SearchCursor};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::openapi::schemas::Paging;
use crate::state::Shared;

/// How long a search may wait for others to be written with it.
const GATHER: Duration = Duration::from_millis(200);
/// Searches in one transaction.
const BATCH: usize = 2_000;
/// Searches that may wait for the writer: some megabytes.
const QUEUE: usize = 20_000;
/// How long a read waits for the searches before it; the store's own limits are shorter.
const FLUSH_LIMIT: Duration = Duration::from_secs(15);
/// The pause after the store refused a batch that it may take later.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Tries of the last batches when the server ends.
const FAREWELL_TRIES: u32 = 3;

const DROPPED: Metric = Metric::counter(
    "isobar_history_dropped_total",
    "Searches that were not recorded because the store was away.",
);

pub const METRICS: &[Metric] = &[DROPPED];

#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryPage {
    pub items: Vec<HistoryItem>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryItem {
    pub id: i64,
    pub city: String,
    pub timestamp: DateTime<Utc>,
}

/// What was asked for, newest first
#[utoipa::path(
    get,
    path = "/history",
    params(Paging),
    responses((status = 200, body = HistoryPage, description = "a page of searches")),
)]
pub async fn list(State(app): State<Shared>, params: Params) -> Result<Json<HistoryPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<SearchCursor>()?.map(|cursor| cursor.0);
    app.history.flush().await;
    let found = app.store.searches(before, limit + 1).await?;
    let (found, next_cursor) = cursor::page(found, limit, |search| SearchCursor(search.id));
    let items = found
        .into_iter()
        .map(|search| HistoryItem {
            id: search.id,
            city: search.city_name,
            timestamp: search.timestamp,
        })
        .collect();
    Ok(Json(HistoryPage { items, next_cursor }))
}

/// Forget what was asked for
#[utoipa::path(
    delete,
    path = "/history",
    responses((status = 204, description = "the history is empty")),
)]
pub async fn clear(State(app): State<Shared>, actor: Actor) -> Result<StatusCode, Problem> {
    let operation = NewOperation::now(&actor.0, Action::HistoryClear);
    app.store.record_operation(&operation).await?;
    // Or a search from before would appear after the clearing.
    app.history.flush().await;
    app.store.clear_searches().await?;
    Ok(StatusCode::NO_CONTENT)
}

enum Message {
    Searched(Arc<str>, DateTime<Utc>),
    Flush(oneshot::Sender<()>),
}

/// The queue's near end. Cheap to clone; the writer ends with the last clone.
#[derive(Clone)]
pub struct History(mpsc::Sender<Message>);

/// The queue's far end; the server runs it.
pub struct HistoryWriter {
    queue: mpsc::Receiver<Message>,
    store: Store,
}

impl History {
    pub fn new(store: Store) -> (Self, HistoryWriter) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Self(sender), HistoryWriter { queue, store })
    }

    pub fn record(&self, city: Arc<str>, at: DateTime<Utc>) {
        if self.0.try_send(Message::Searched(city, at)).is_err() {
            metrics::counter!(DROPPED.name).increment(1);
        }
    }

    /// Returns when everything recorded before is in the store, or given up.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.0.send(Message::Flush(done)).await.is_ok() {
                // An error is a writer that has ended, and it wrote all it had.
                let _ = written.await;
            }
        };
        // A store that is away answers the read itself with a problem.
        let _ = timeout(FLUSH_LIMIT, flushed).await;
    }
}

impl HistoryWriter {
    /// Writes until every [`History`] is gone, and then what is left.
    pub async fn run(mut self) {
        let mut gathered = Gathered::default();
        while let Some(message) = self.queue.recv().await {
            gathered.add(message);
            let open = self.gather(&mut gathered).await;
            match write(&self.store, &gathered.searches).await {
                Written::Done => gathered.finish(),
                Written::Later if open => {
                    gathered.answer();
                    gathered.forget_oldest();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Written::Later => break,
            }
        }
        for _ in 0..FAREWELL_TRIES {
            if matches!(write(&self.store, &gathered.searches).await, Written::Done) {
                return;
            }
        }
        drop_searches(gathered.searches.len());
    }

    /// Takes what comes until the batch is full, its time is over or somebody waits for it. False
    /// when nothing more will come.
    async fn gather(&mut self, gathered: &mut Gathered) -> bool {
        let mut over = pin!(sleep(GATHER));
        while gathered.searches.len() < BATCH && gathered.waiting.is_empty() {
            tokio::select! {
                biased;
                message = self.queue.recv() => match message {
                    Some(message) => gathered.add(message),
                    None => return false,
                },
                () = &mut over => break,
            }
        }
        true
    }
}

#[derive(Default)]
struct Gathered {
    searches: Vec<(String, DateTime<Utc>)>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Gathered {
    fn add(&mut self, message: Message) {
        match message {
            Message::Searched(city, at) => self.searches.push((city.to_string(), at)),
            Message::Flush(done) => self.waiting.push(done),
        }
    }

    fn finish(&mut self) {
        self.searches.clear();
        self.answer();
    }

    fn answer(&mut self) {
        for done in self.waiting.drain(..) {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }

    /// Keeps the batch from growing while the store is away (I8).
    fn forget_oldest(&mut self) {
        let over = self.searches.len().saturating_sub(BATCH);
        drop_searches(over);
        self.searches.drain(..over);
    }
}

enum Written {
    Done,
    Later,
}

async fn write(store: &Store, searches: &[(String, DateTime<Utc>)]) -> Written {
    if searches.is_empty() {
        return Written::Done;
    }
    match store.record_searches(searches).await {
        Ok(()) => Written::Done,
        Err(error) if error.is_transient() => {
            warn(&error, searches.len(), "searches wait for the store");
            Written::Later
        }
        Err(error) => {
            warn(&error, searches.len(), "searches could not be written");
            drop_searches(searches.len());
            Written::Done
        }
    }
}

fn warn(error: &StoreError, searches: usize, what: &str) {
    let error = isobar_telemetry::chain(error);
    tracing::warn!(error, searches, "{what}");
}

fn drop_searches(count: usize) {
    if count > 0 {
        metrics::counter!(DROPPED.name).increment(count as u64);
    }
}
