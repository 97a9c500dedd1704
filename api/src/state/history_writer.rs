//! The search history's queue: searches are recorded at once and written in batches.
//!
//! Guarantees: [`History::record`] never waits. A search is in the store at most 200 ms later.
//! [`History::flush`] waits for all searches before it, so a client sees its own. When the server ends,
//! the writer stores what is queued.
//!
//! Does not: keep searches while the store is down. The queue fills, further searches are dropped
//! and counted, and `/weather` is never delayed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_store::{Store, StoreError};
use isobar_telemetry::metric::Metric;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// How long a search may wait for others to be written with it.
const BATCH_DELAY: Duration = Duration::from_millis(200);
/// Searches in one transaction.
const BATCH: usize = 2_000;
/// Searches that may wait for the writer: some megabytes.
const QUEUE: usize = 20_000;
/// How long a read waits for the searches before it; the store's own timeouts are shorter.
const FLUSH_LIMIT: Duration = Duration::from_secs(15);
/// The pause after a write that can be repeated.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Attempts to write the last batch when the server ends.
const SHUTDOWN_TRIES: u32 = 3;

const DROPPED: Metric = Metric::counter(
    "isobar_history_dropped_total",
    "Searches that were not recorded because the store was unavailable.",
);

pub const METRICS: &[Metric] = &[DROPPED];

enum Message {
    Searched(Arc<str>, DateTime<Utc>),
    Flush(oneshot::Sender<()>),
}

/// The sending end. Cheap to clone; the writer ends with the last clone.
#[derive(Clone)]
pub struct History(mpsc::Sender<Message>);

/// The receiving end; the server runs it.
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

    /// Returns when everything recorded before is in the store or dropped.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.0.send(Message::Flush(done)).await.is_ok() {
                // An error means that the writer has ended, and it wrote all it had.
                let _ = written.await;
            }
        };
        // If the store is unavailable, the read that follows reports it.
        let _ = timeout(FLUSH_LIMIT, flushed).await;
    }
}

impl HistoryWriter {
    /// Writes until the last [`History`] is dropped, and then what is left.
    pub async fn run(mut self) {
        let mut batch = SearchBatch::default();
        while let Some(message) = self.queue.recv().await {
            batch.add(message);
            let open = self.collect(&mut batch).await;
            match write(&self.store, &batch.searches).await {
                WriteOutcome::Done => batch.finish(),
                WriteOutcome::Later if open => {
                    batch.notify_waiting();
                    batch.drop_oldest();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                WriteOutcome::Later => break,
            }
        }
        for _ in 0..SHUTDOWN_TRIES {
            if matches!(write(&self.store, &batch.searches).await, WriteOutcome::Done) {
                return;
            }
        }
        count_dropped(batch.searches.len());
    }

    /// Receives until the batch is full, its delay is over or a reader waits for it. False when the
    /// queue is closed.
    async fn collect(&mut self, batch: &mut SearchBatch) -> bool {
        let mut over = pin!(sleep(BATCH_DELAY));
        while batch.searches.len() < BATCH && batch.waiting.is_empty() {
            tokio::select! {
                biased;
                message = self.queue.recv() => match message {
                    Some(message) => batch.add(message),
                    None => return false,
                },
                () = &mut over => break,
            }
        }
        true
    }
}

#[derive(Default)]
struct SearchBatch {
    searches: Vec<(String, DateTime<Utc>)>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl SearchBatch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Searched(city, at) => self.searches.push((city.to_string(), at)),
            Message::Flush(done) => self.waiting.push(done),
        }
    }

    fn finish(&mut self) {
        self.searches.clear();
        self.notify_waiting();
    }

    fn notify_waiting(&mut self) {
        for done in self.waiting.drain(..) {
            // An error means that the reader has stopped waiting.
            let _ = done.send(());
        }
    }

    /// Keeps the batch from growing while the store is unavailable (I8).
    fn drop_oldest(&mut self) {
        let over = self.searches.len().saturating_sub(BATCH);
        count_dropped(over);
        self.searches.drain(..over);
    }
}

enum WriteOutcome {
    /// Written, or rejected for good.
    Done,
    Later,
}

async fn write(store: &Store, searches: &[(String, DateTime<Utc>)]) -> WriteOutcome {
    if searches.is_empty() {
        return WriteOutcome::Done;
    }
    match store.record_searches(searches).await {
        Ok(()) => WriteOutcome::Done,
        Err(error) if error.is_transient() => {
            warn(&error, searches.len(), "searches wait for the store");
            WriteOutcome::Later
        }
        Err(error) => {
            warn(&error, searches.len(), "searches could not be written");
            count_dropped(searches.len());
            WriteOutcome::Done
        }
    }
}

fn warn(error: &StoreError, searches: usize, message: &str) {
    let error = isobar_telemetry::error_chain(error);
    tracing::warn!(error, searches, "{message}");
}

fn count_dropped(searches: usize) {
    if searches > 0 {
        metrics::counter!(DROPPED.name).increment(searches as u64);
    }
}
