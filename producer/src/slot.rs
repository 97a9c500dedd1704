//! The slot: identifies a run of a source, and is part of the id of its job.
//!
//! A slot is any text; a scheduler uses the time of the tick. If a slot is a time, it is also the
//! creation time of the job, which its first batch contains. So hosts that fire the same tick freeze
//! the same bytes (I2), and the stream does not report a conflict.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// Minutes are enough for a crontab; this is the format of its `date` command.
const MINUTES: &str = "%Y-%m-%dT%H:%MZ";

/// The slot of a tick, or of a run by the second of its start.
pub fn of(tick: DateTime<Utc>) -> String {
    tick.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The slot as a time, if it is one.
pub fn time(slot: &str) -> Option<DateTime<Utc>> {
    let exact = DateTime::parse_from_rfc3339(slot).map(|time| time.to_utc());
    exact.or_else(|_| NaiveDateTime::parse_from_str(slot, MINUTES).map(|time| time.and_utc())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_timestamp_slot_has_a_time() {
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
