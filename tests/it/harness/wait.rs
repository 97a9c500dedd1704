//! Waiting for something to become true, with a limit and a sentence for when it does not.
//!
//! The only way in which tests wait: a predicate is asked again after a few milliseconds until it
//! holds. It deliberately has no "wait a moment": a test that needs one has not said what it waits
//! for. A limit only ends a broken run; it measures nothing. All limits follow from [`PATIENCE`],
//! so a machine that is slower than ours needs one change.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(5);

/// The limit to take when nothing speaks for another. No step of a test takes more than 10 s on two
/// idle cores; other builds beside it make it ten times as slow.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The limit for a whole run of many steps: a command to its end, or a job of many batches.
pub const LONG_PATIENCE: Duration = PATIENCE.saturating_mul(4);

/// Asks until there is an answer; none if there is none within `limit`.
pub async fn within<T>(limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        // Read before the answer: a process that slept through its limit still asks once more.
        let is_late = started.elapsed() >= limit;
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if is_late {
            return None;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// [`within`], and a panic with `what` where there is no answer.
pub async fn eventually<T>(limit: Duration, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    let answer = within(limit, ask).await;
    answer.unwrap_or_else(|| panic!("waited {limit:?} in vain until {what}"))
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
