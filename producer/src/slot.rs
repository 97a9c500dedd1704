//! The slot: which run of its source a job is, and so a part of its name.
//!
//! A slot is any text; whoever fires a tick uses the tick. A slot that is a time is also when its job
//! came to be: the open in the job's first batch says so, and hosts that fire the same tick must
//! freeze the same bytes (I2), or the stream takes the second one's for a conflict.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// Minutes will do for a crontab, and `date` writes them like this.
const MINUTES: &str = "%Y-%m-%dT%H:%MZ";

/// The slot of a tick; a run that nobody gave one has the second of its start.
pub fn of(tick: DateTime<Utc>) -> String {
    tick.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time that a slot is, if it is one.
pub fn time(slot: &str) -> Option<DateTime<Utc>> {
    let exact = DateTime::parse_from_rfc3339(slot).map(|time| time.to_utc());
    exact.or_else(|_| NaiveDateTime::parse_from_str(slot, MINUTES).map(|time| time.and_utc())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_may_be_a_time_and_need_not() {
        let tick = DateTime::from_timestamp(1_790_000_040, 0).expect("a time");
        assert_eq!(of(tick), "2026-09-21T14:14:00Z");
        for slot in [of(tick), "2026-09-21T14:14Z".into(), "2026-09-21T16:14:00+02:00".into()] {
            assert_eq!(time(&slot), Some(tick), "{slot}");
        }
        for slot in ["monday", "", "2026-09-21", "20260921T1414Z", "1790000040"] {
            assert_eq!(time(slot), None, "{slot}");
        }
    }
}
