//! How much, how many and how long, where a client could have too much of it (I8).
//!
//! The defaults are what `isobar serve` runs with. They are values and not constants so that a test
//! of what happens at a limit need not wait for thirty seconds or open four thousand connections.
//! Sizes and waits that belong to one resource stand in its own file.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; the next one waits to be accepted.
    pub connections: usize,
    /// How long a client may take to send a request's head, and may keep an idle connection.
    pub head: Duration,
    /// How long a client may take for the next [`write_timeout::PROGRESS_BYTES`] of its answer.
    ///
    /// [`write_timeout::PROGRESS_BYTES`]: crate::http::write_timeout::PROGRESS_BYTES
    pub progress: Duration,
    /// Requests that may be in a handler at once; more are told to come back.
    pub requests: usize,
    /// Whole tables that may be sent at once.
    pub streams: usize,
    /// Clients that may listen to events at once.
    pub listeners: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_000,
            head: Duration::from_secs(30),
            progress: Duration::from_secs(30),
            requests: 2_000,
            streams: 64,
            listeners: 1_000,
        }
    }
}
