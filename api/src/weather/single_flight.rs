//! Single flight: concurrent calls for one key share one call.
//!
//! Guarantees: every caller gets the result or the error of the shared call. The call is a task of
//! its own, so a caller that leaves neither ends it for the others nor starts a second one.
//! Does not: keep results; the next caller starts a new call (see [`super::lookup`] for the caches).

use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::cache::Cache;
use crate::http::problem::Problem;

pub struct SingleFlight<T> {
    /// Entries expire at once: only the calls in progress are shared.
    calls: Cache<T>,
    tasks: TaskTracker,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { calls: Cache::new(u64::MAX, Duration::ZERO), tasks }
    }

    /// Runs `call`, unless one for `key` is in progress.
    pub async fn run<F>(&self, key: String, call: F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let calls = self.calls.clone();
        let task = self.tasks.spawn(async move { calls.get_or_load(key, call).await });
        match task.await {
            Ok(result) => result.map_err(|problem| (*problem).clone()),
            Err(panicked) => Err(Problem::internal(panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn concurrent_callers_share_one_call() {
        let flights = SingleFlight::new(TaskTracker::new());
        let (started, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let run = || {
            let (started, gate) = (started.clone(), gate.clone());
            flights.run("paris".to_owned(), async move {
                let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                let _open = gate.acquire().await;
                Ok(number)
            })
        };
        let all = futures::future::join_all((0..1_000).map(|_| run()));
        let open = async {
            // Every task gets a turn, so that all of them wait for the first one.
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            gate.add_permits(1);
        };
        let (answers, ()) = tokio::join!(all, open);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(1))));
        assert!(matches!(run().await, Ok(2)), "the next caller starts a new call");
    }

    #[tokio::test]
    async fn a_call_outlives_its_first_caller() {
        let flights = SingleFlight::new(TaskTracker::new());
        let (started, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let call = {
            let (started, gate) = (started.clone(), gate.clone());
            async move {
                started.add_permits(1);
                let _open = gate.acquire().await;
                Ok(1)
            }
        };
        // Polled once, so that the task exists, and then dropped.
        assert!(flights.run("a".to_owned(), call).now_or_never().is_none());
        started.acquire().await.expect("it runs").forget();
        let joined = flights.run("a".to_owned(), async { Ok(2) });
        let open = async {
            tokio::task::yield_now().await;
            gate.add_permits(1);
        };
        assert!(matches!(tokio::join!(joined, open).0, Ok(1)));
    }

    #[tokio::test]
    async fn a_failed_call_is_not_kept() {
        let flights = SingleFlight::new(TaskTracker::new());
        let panicked = flights.run("b".to_owned(), async { panic!("b") }).await;
        assert_eq!(panicked.expect_err("it panicked").status, 500);
        let failed = flights.run("b".to_owned(), async { Err(Problem::not_found("none")) }).await;
        assert_eq!(failed.expect_err("none").status, 404);
        assert!(matches!(flights.run("b".to_owned(), async { Ok(3) }).await, Ok(3)));
    }
}
