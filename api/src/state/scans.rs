//! Scans: results that read whole tables, kept for a few seconds.
//!
//! Guarantees: concurrent callers share one scan and its error; errors are not kept.
//! Does not: hold what one request asks for (handlers ask the store themselves).

use std::sync::Arc;
use std::time::Duration;

use isobar_store::{CityRow, DeadLetterGroup, FailureGroup, TableCounts};
use moka::future::Cache;

use super::map_body::MapBody;

const TOTALS_TTL: Duration = Duration::from_secs(5);
const SUMMARY_TTL: Duration = Duration::from_secs(5);
/// Shorter: operators discard dead letters and want to see the effect.
const GROUPS_TTL: Duration = Duration::from_secs(2);
const MAP_TTL: Duration = Duration::from_secs(10);

/// One value, renewed by the first caller that finds it older than its time to live.
pub type Scan<T> = Cache<(), T>;

pub struct Scans {
    pub totals: Scan<TableCounts>,
    pub groups: Scan<Vec<DeadLetterGroup>>,
    pub refreshed: Scan<Vec<CityRow>>,
    pub failures: Scan<Vec<FailureGroup>>,
    pub map: Scan<Arc<MapBody>>,
}

impl Default for Scans {
    fn default() -> Self {
        Self {
            totals: scan(TOTALS_TTL),
            groups: scan(GROUPS_TTL),
            refreshed: scan(SUMMARY_TTL),
            failures: scan(SUMMARY_TTL),
            map: scan(MAP_TTL),
        }
    }
}

fn scan<T: Clone + Send + Sync + 'static>(ttl: Duration) -> Scan<T> {
    Cache::builder().max_capacity(1).time_to_live(ttl).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn concurrent_callers_share_one_scan() {
        let count = AtomicU32::new(0);
        let next = async || {
            tokio::task::yield_now().await;
            Ok::<_, &str>(count.fetch_add(1, Ordering::SeqCst) + 1)
        };
        let kept = scan(Duration::from_hours(1));
        assert_eq!(*kept.try_get_with((), async { Err("away") }).await.expect_err("away"), "away");
        let all = (0..100).map(|_| kept.try_get_with((), next()));
        let all = futures::future::join_all(all).await;
        assert!(all.into_iter().all(|value| value == Ok(1)), "an error is not kept");
        let expired = scan(Duration::ZERO);
        assert_eq!(expired.try_get_with((), next()).await, Ok(2));
        assert_eq!(expired.try_get_with((), next()).await, Ok(3), "the first one has expired");
    }
}
