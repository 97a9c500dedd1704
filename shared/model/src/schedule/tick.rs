//! Tick outcomes: how the run of a tick ended, or why it did not start.

use crate::string_enum;

string_enum! {
    serde TickOutcome {
        /// All rows of the run are in the stream.
        Done = "done",
        /// A server was unavailable. What is extracted is safe, and a later tick resumes the run.
        TryAgain = "try_again",
        /// The run needs a person.
        Failed = "failed",
        /// Not run, because the run before it had not ended.
        SkippedOverlap = "skipped_overlap",
        /// Not run, because no scheduler was running in time.
        Missed = "missed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_outcome_has_its_own_name() {
        for outcome in TickOutcome::ALL {
            assert_eq!(TickOutcome::parse(outcome.as_str()), Some(outcome));
            let json = serde_json::to_string(&outcome).expect("plain data");
            assert_eq!(json, format!("\"{outcome}\""));
            assert_eq!(serde_json::from_str::<TickOutcome>(&json).expect("reads"), outcome);
        }
        assert_eq!(TickOutcome::Missed.as_str(), "missed");
        assert_eq!(TickOutcome::parse("lost"), None);
    }
}
