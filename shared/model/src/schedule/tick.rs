//! Tick outcomes: how the run of a tick ended, or why it did not start.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// All rows of the run are in the stream.
    Done,
    /// A server was unavailable. What is extracted is safe, and a later tick resumes the run.
    TryAgain,
    /// The run needs a person.
    Failed,
    /// Not run, because the run before it had not ended.
    SkippedOverlap,
    /// Not run, because no scheduler was running in time.
    Missed,
}

impl TickOutcome {
    pub const ALL: [Self; 5] =
        [Self::Done, Self::TryAgain, Self::Failed, Self::SkippedOverlap, Self::Missed];
    pub const NAMES: [&'static str; 5] =
        ["done", "try_again", "failed", "skipped_overlap", "missed"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_outcome_has_its_own_name() {
        for outcome in TickOutcome::ALL {
            assert_eq!(TickOutcome::parse(outcome.as_str()), Some(outcome));
        }
        let name = serde_json::to_value(TickOutcome::SkippedOverlap).expect("plain data");
        assert_eq!(name, TickOutcome::SkippedOverlap.as_str());
        assert_eq!(TickOutcome::Missed.as_str(), "missed");
        assert_eq!(TickOutcome::parse("lost"), None);
    }
}
