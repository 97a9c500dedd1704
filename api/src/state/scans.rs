//! Scans: results that read whole tables, kept for a few seconds.
//!
//! Guarantees: concurrent callers share one scan and its error; errors are not kept.
//! Does not: hold what one request asks for (handlers ask the store themselves).

use std::sync::Arc;
use std::time::Duration;

use isobar_store::{CityRow, DeadLetterGroup, FailureGroup, JobRow, TableCounts};

use super::map_body::MapBody;
use crate::cache::Cache;

const TOTALS_TTL: Duration = Duration::from_secs(5);
const SUMMARY_TTL: Duration = Duration::from_secs(5);
/// Shorter: operators discard dead letters and want to see the effect.
const GROUPS_TTL: Duration = Duration::from_secs(2);
const MAP_TTL: Duration = Duration::from_secs(10);

/// One value, renewed by the first caller that finds it older than its time to live.
pub struct Scan<T>(Cache<T>);

impl<T: Clone + Send + Sync + 'static> Scan<T> {
    fn new(ttl: Duration) -> Self {
        Self(Cache::new(1, ttl))
    }

    pub async fn get_or_load<E: Send + Sync + 'static>(
        &self,
        load: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, Arc<E>> {
        self.0.get_or_load(String::new(), load).await
    }
}

pub struct Scans {
    pub totals: Scan<TableCounts>,
    pub groups: Scan<Vec<DeadLetterGroup>>,
    pub refreshed: Scan<Vec<CityRow>>,
    pub failures: Scan<Vec<FailureGroup>>,
    pub failed_sources: Scan<Vec<JobRow>>,
    pub map: Scan<Arc<MapBody>>,
}

impl Default for Scans {
    fn default() -> Self {
        Self {
            totals: Scan::new(TOTALS_TTL),
            groups: Scan::new(GROUPS_TTL),
            refreshed: Scan::new(SUMMARY_TTL),
            failures: Scan::new(SUMMARY_TTL),
            failed_sources: Scan::new(SUMMARY_TTL),
            map: Scan::new(MAP_TTL),
        }
    }
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
        let kept = Scan::new(Duration::from_hours(1));
        assert_eq!(*kept.get_or_load(async { Err("away") }).await.expect_err("away"), "away");
        let all = (0..100).map(|_| kept.get_or_load(next()));
        let all = futures::future::join_all(all).await;
        assert!(all.into_iter().all(|value| value == Ok(1)), "an error is not kept");
        let expired = Scan::new(Duration::ZERO);
        assert_eq!(expired.get_or_load(next()).await, Ok(2));
        assert_eq!(expired.get_or_load(next()).await, Ok(3), "the first one has expired");
    }
}
