//! Ages and times as people read them in a list.
//!
//! One unit is enough in a list; `--json` has exact times.

use chrono::{DateTime, SecondsFormat, Utc};

const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];

/// `3 s`, `12 min`, `5 h`, `2 d`: rounded down.
pub fn age(seconds: u64) -> String {
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= *length);
    let (length, unit) = unit.unwrap_or((1, "s"));
    format!("{} {unit}", seconds / length)
}

/// Whole seconds since then.
pub fn seconds_since(at: DateTime<Utc>) -> u64 {
    (Utc::now() - at).num_seconds().max(0) as u64
}

/// `2026-01-16T05:00:00Z`, or `-` for never.
pub fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (200_000, "2 d")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
