//! The time limit of one answer during a scrape.
//!
//! Guarantees: a component that does not answer costs its own gauges and not the scrape.

use std::time::Duration;

use tokio::time::timeout;

/// Prometheus stops waiting after ten seconds.
const SCRAPE_LIMIT: Duration = Duration::from_secs(2);

/// `None` if the answer failed or took too long; the `…_up` gauges show why.
pub async fn within_limit<T, E>(answer: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(SCRAPE_LIMIT, answer).await.ok()?.ok()
}
