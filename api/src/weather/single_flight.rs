//! Single flight: who asks for what is being fetched already waits for that.
//!
//! A flight runs as a task of its own, so a caller who goes away neither ends it for the others
//! nor lets a second one start. It is forgotten when it lands, even by a panic; keeping results is
//! the caches' business.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio_util::task::TaskTracker;

type Flight<T> = Shared<BoxFuture<'static, Option<T>>>;

/// The flights in the air, by what they fetch.
pub struct Flights<K, T> {
    running: Arc<Mutex<HashMap<K, Flight<T>>>>,
    tasks: TaskTracker,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub fn new(tasks: TaskTracker) -> Self {
        Self { running: Arc::default(), tasks }
    }

    /// The result of the flight for `key`, started by `work` if none is in the air. `None` if it
    /// panicked.
    pub async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let flight = {
            let mut running = lock(&self.running);
            if let Some(flight) = running.get(&key) {
                flight.clone()
            } else {
                let landing = Landing { running: Arc::clone(&self.running), key: key.clone() };
                let work = work();
                let task = self.tasks.spawn(async move {
                    let _landing = landing;
                    work.await
                });
                let flight = task.map(Result::ok).boxed().shared();
                running.insert(key, flight.clone());
                flight
            }
        };
        flight.await
    }
}

/// Forgets the flight when its task ends, however it does.
struct Landing<K: Eq + Hash, T> {
    running: Arc<Mutex<HashMap<K, Flight<T>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.key);
    }
}

/// The map is whole whatever panicked: no code runs in between two changes of it.
fn lock<K, T>(running: &Mutex<HashMap<K, Flight<T>>>) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_cause_one_flight_and_the_next_one_another() {
        let flights = Flights::new(TaskTracker::new());
        let (started, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (started, gate) = (started.clone(), gate.clone());
            flights.join("paris", move || async move {
                let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                let _open = gate.acquire().await;
                number
            })
        };
        let all = futures::future::join_all((0..1_000).map(|_| ask()));
        let (answers, ()) = tokio::join!(all, async { gate.add_permits(1) });
        assert!(answers.iter().all(|answer| *answer == Some(1)));
        assert_eq!(ask().await, Some(2));
    }

    #[tokio::test]
    async fn a_flight_outlives_who_started_it_and_a_panic_lands_it() {
        let flights: Flights<&str, u32> = Flights::new(TaskTracker::new());
        let gate = Arc::new(Semaphore::new(0));
        let first = flights.join("a", || {
            let gate = gate.clone();
            async move {
                let _open = gate.acquire().await;
                1
            }
        });
        // Polled once, so that it has started, and then dropped.
        assert!(first.now_or_never().is_none());
        gate.add_permits(1);
        assert_eq!(flights.join("a", || async { 2 }).await, Some(1));
        assert_eq!(flights.join("b", || async { panic!("b") }).await, None);
        assert_eq!(flights.join("b", || async { 3 }).await, Some(3));
    }
}
