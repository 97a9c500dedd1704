//! What is known of something that has to be asked, and may not answer.
//!
//! A panel whose source is away shows what was last known and says so, instead of a zero that
//! nobody measured or an empty page.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

/// Who takes longer than this to answer counts as away, until the next look.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq)]
pub struct Known<T> {
    /// The last answer, however old.
    pub value: Option<T>,
    /// Why there is no newer one.
    pub trouble: Option<String>,
}

impl<T> Default for Known<T> {
    /// Nobody has asked yet.
    fn default() -> Self {
        Self { value: None, trouble: None }
    }
}

impl<T: Clone> Known<T> {
    /// What `answer` brings, or else what was known before with the reason.
    pub async fn ask<E: fmt::Display>(&self, answer: impl Future<Output = Result<T, E>>) -> Self {
        let trouble = match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(value)) => return Self::of(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
        };
        Self { value: self.value.clone(), trouble: Some(trouble) }
    }

    pub fn of(value: T) -> Self {
        Self { value: Some(value), trouble: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[tokio::test]
    async fn what_does_not_answer_leaves_what_was_known_and_says_why() {
        let known = Known::default().ask(async { Ok::<_, Infallible>(7) }).await;
        assert_eq!(known, Known::of(7));
        let failed = known.ask(async { Err("refused") }).await;
        assert_eq!((failed.value, failed.trouble.as_deref()), (Some(7), Some("refused")));
        assert_eq!(failed.ask(async { Ok::<_, Infallible>(8) }).await, Known::of(8));
    }
}
