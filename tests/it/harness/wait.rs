//! Waiting for something to become true, with a limit and a sentence for when it does not.
//!
//! The only way in which tests wait: a predicate is asked again after a few milliseconds until it
//! holds. It deliberately has no "wait a moment": a test that needs one has not said what it waits
//! for. The limit is a bound on a broken run, not a measure; make it generous.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(5);

/// The limit to take when nothing speaks for another.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer, and panics with `what` when there is none within `limit`.
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < limit,
            "waited {limit:?} in vain until {what}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// `eventually` for a plain condition.
pub async fn until(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    eventually(limit, what, async || holds().await.then_some(())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = eventually(PATIENCE, "the third time", async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain until pigs fly")]
    async fn a_wait_in_vain_says_what_for() {
        until(Duration::ZERO, "pigs fly", async || false).await;
    }
}
