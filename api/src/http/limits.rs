//! Server limits: how much, how many and how long, so that no client takes everything (I8).
//!
//! The defaults are what `isobar serve` runs with. They are values and not constants, so that a test
//! of a limit need not wait thirty seconds or open four thousand connections.
//! Does not: hold limits of one resource (see that resource's file).

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once; beyond them only probes are answered.
    pub connections: usize,
    /// Connections of one client at once, so that no client has them all. A proxy is one client.
    pub connections_per_client: usize,
    /// How long a client may take to send a request's head, and keep an idle connection. Clients send
    /// a head at once; a longer time only serves those who hold connections.
    pub head: Duration,
    /// How long a client may take for the next [`write_timeout::PROGRESS_BYTES`] of its answer.
    ///
    /// [`write_timeout::PROGRESS_BYTES`]: crate::http::write_timeout::PROGRESS_BYTES
    pub progress: Duration,
    /// Requests in handlers at once; more are answered 503 with `Retry-After`.
    pub requests: usize,
    /// Responses that stream a whole table at once.
    pub streams: usize,
    /// Clients that listen to job events at once.
    pub listeners: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 4_000,
            connections_per_client: 2_000,
            head: Duration::from_secs(10),
            progress: Duration::from_secs(30),
            requests: 2_000,
            streams: 64,
            listeners: 1_000,
        }
    }
}
