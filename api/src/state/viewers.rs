//! Viewers: what open dashboards are shown, once for all of them.
//!
//! The newest snapshot, its rendering, the throughput of the last minutes, and a slot for each open
//! page. An open page subscribes to [`Frame`]s.
//!
//! Does not: ask or render (see `dashboard/refresh.rs`), or write events (`dashboard/live.rs`).

use std::sync::{Arc, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::panels::Panels;
use crate::panels::snapshot::DashboardSnapshot;
use crate::panels::throughput::Throughput;

/// Pages that may be open at once.
const MAX_VIEWERS: usize = 200;

pub struct Viewers {
    /// Locked while it is renewed, so that concurrent callers share one renewal.
    pub latest: Mutex<DashboardSnapshot>,
    throughput: std::sync::Mutex<Throughput>,
    pub frames: watch::Sender<Frame>,
    pub slots: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
pub enum Frame {
    /// Nothing was rendered yet.
    Empty,
    Rendered(Arc<RenderedSnapshot>),
    /// The server is shutting down.
    Ended,
}

#[derive(Debug)]
pub struct RenderedSnapshot {
    pub at: DateTime<Utc>,
    pub panels: Panels,
}

impl Viewers {
    pub fn new(empty: DashboardSnapshot) -> Self {
        Self {
            latest: Mutex::new(empty),
            throughput: std::sync::Mutex::default(),
            frames: watch::Sender::new(Frame::Empty),
            slots: Arc::new(Semaphore::new(MAX_VIEWERS)),
        }
    }

    pub fn throughput(&self) -> MutexGuard<'_, Throughput> {
        // After a panic elsewhere the ring is still whole.
        self.throughput.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
