//! The last known value of something that may not answer.
//!
//! Guarantees: after a failed update the value stays and the error says why it may be old. A panel
//! never shows a zero that was not measured.

use std::error::Error;
use std::time::Duration;

use isobar_telemetry::error_chain;
use tokio::time::timeout;

/// A component that takes longer to answer counts as down until the next refresh.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq)]
pub struct LastKnown<T> {
    /// `None` until the first answer.
    pub value: Option<T>,
    /// Why the last update failed.
    pub error: Option<String>,
}

impl<T> Default for LastKnown<T> {
    fn default() -> Self {
        Self { value: None, error: None }
    }
}

impl<T> LastKnown<T> {
    pub async fn update<E: Error + 'static>(&mut self, answer: impl Future<Output = Result<T, E>>) {
        self.error = match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(value)) => {
                self.value = Some(value);
                None
            }
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[tokio::test]
    async fn a_failed_update_keeps_the_last_value() {
        let mut known = LastKnown::default();
        known.update(async { Ok::<_, io::Error>(7) }).await;
        assert_eq!(known, LastKnown { value: Some(7), error: None });
        known.update(async { Err(io::Error::other("refused")) }).await;
        assert_eq!(known, LastKnown { value: Some(7), error: Some("refused".to_owned()) });
        known.update(async { Ok::<_, io::Error>(8) }).await;
        assert_eq!(known, LastKnown { value: Some(8), error: None });
    }
}
