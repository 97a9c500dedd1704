//! A value that is dear to find out and worth keeping for some seconds.
//!
//! Counts read whole tables. However many ask, one finds out; who comes meanwhile waits for that one,
//! and until the value is too old all get it. A failure is kept for nobody.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The last value, and since when it is known.
#[derive(Debug)]
pub struct Young<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Young<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Young<T> {
    /// The last value if it is no older than `life`, else what `find_out` brings.
    pub async fn get<E>(
        &self,
        life: Duration,
        find_out: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut last = self.0.lock().await;
        if let Some((at, value)) = &*last
            && at.elapsed() < life
        {
            return Ok(value.clone());
        }
        *last = None;
        let value = find_out.await?;
        *last = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_cost_one_look_and_a_failure_is_not_kept() {
        let young = Young::default();
        let looks = AtomicU32::new(0);
        let look = async || {
            let found = Ok::<_, Infallible>(looks.fetch_add(1, Ordering::SeqCst) + 1);
            tokio::task::yield_now().await;
            found
        };
        let hour = Duration::from_hours(1);
        let all = futures::future::join_all((0..100).map(|_| young.get(hour, look()))).await;
        assert!(all.iter().all(|value| *value == Ok(1)));
        assert_eq!(young.get(Duration::ZERO, look()).await, Ok(2), "too old");
        assert_eq!(young.get(Duration::ZERO, async { Err("away") }).await, Err("away"));
        assert_eq!(young.get(hour, look()).await, Ok(3));
    }
}
