//! How a tick of a schedule ended, or that it never began.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// Everything of it is in the stream.
    Done,
    /// Something was away; what is safe is safe, and a later tick goes on with it.
    TryAgain,
    /// It will not get better by itself.
    Failed,
    /// Not run: the run before it was still going.
    SkippedOverlap,
    /// Not run: nobody was there in time.
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
    fn every_outcome_has_its_own_name() {
        for outcome in TickOutcome::ALL {
            assert_eq!(TickOutcome::parse(outcome.as_str()), Some(outcome));
        }
        let name = serde_json::to_value(TickOutcome::SkippedOverlap).expect("plain data");
        assert_eq!(name, TickOutcome::SkippedOverlap.as_str());
        assert_eq!(TickOutcome::Missed.as_str(), "missed");
        assert_eq!(TickOutcome::parse("lost"), None);
    }
}
