//! Schedule expressions: cron in a time zone, or a period.
//!
//! Guarantees: [`Expression::next`] and [`Expression::previous`] walk over one fixed set of
//! instants, the ticks, from any start. So hosts agree on the next tick without a message.
//! Five fields are minute, hour, day of month, month and weekday; six begin with the second. A
//! period (`@every 300s`) ticks at its multiples since 1970, not since some start.
//! Next: `wall_clock.rs` (cron where clocks change), and [`due`](super::due), which decides which
//! tick fires.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;

use super::wall_clock::WallClock;
use crate::duration::{format_duration, parse_duration};

/// The longest period. Anything rarer happens on a date, and cron expressions have dates.
const MAX_PERIOD_S: u64 = 366 * 86_400;
const FIELDS: [&str; 6] = ["second", "minute", "hour", "day", "month", "weekday"];
/// Names for five fields.
const NAMES: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];
const HELP: &str = "expected minute, hour, day, month and weekday, for example `5 */3 * * *` (optionally with seconds \
     first), @hourly, @daily, @weekly, @monthly, @yearly, or @every 300s";

/// An expression as written, and its rule.
#[derive(Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Cron(WallClock),
    /// In whole seconds.
    Every(i64),
}

impl Expression {
    /// The first tick after `time`.
    pub fn next(&self, time: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let time = time.trunc_subsecs(0);
        match &self.rule {
            Rule::Cron(clock) => clock.next(time, zone),
            Rule::Every(seconds) => {
                let now = time.timestamp();
                DateTime::from_timestamp(now - now.rem_euclid(*seconds) + seconds, 0)
            }
        }
    }

    /// The last tick at or before `time`.
    pub fn previous(&self, time: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let time = time.trunc_subsecs(0);
        match &self.rule {
            Rule::Cron(clock) => clock.previous(time, zone),
            Rule::Every(seconds) => {
                let now = time.timestamp();
                DateTime::from_timestamp(now - now.rem_euclid(*seconds), 0)
            }
        }
    }
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let rule = match period(text) {
            Some(period) => Rule::Every(parse_period(period)?),
            None => Rule::Cron(cron(text)?),
        };
        let expression = Self { text: text.to_owned(), rule };
        // No date exists in one zone only, so an expression that fires in UTC fires in every zone.
        if expression.next(DateTime::UNIX_EPOCH, Tz::UTC).is_none() {
            return Err(format!("{text:?} never fires: its date does not exist"));
        }
        Ok(expression)
    }
}

/// The text after `@every`.
fn period(text: &str) -> Option<&str> {
    let (head, period) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    head.eq_ignore_ascii_case("@every").then_some(period.trim())
}

fn parse_period(period: &str) -> Result<i64, String> {
    let duration = parse_duration(period).map_err(|error| format!("@every {period}: {error}"))?;
    let seconds = duration.as_secs();
    if duration.subsec_nanos() > 0 || seconds == 0 {
        return Err(format!(
            "@every {}: the period must be whole seconds, at least one",
            format_duration(duration)
        ));
    }
    if seconds > MAX_PERIOD_S {
        return Err(format!("@every {period}: the period must not exceed 366d"));
    }
    Ok(seconds as i64)
}

fn cron(text: &str) -> Result<WallClock, String> {
    let wrong = |why: &str| Err(format!("invalid schedule {text:?}: {why}; {HELP}"));
    if text.is_empty() {
        return wrong("it is empty");
    }
    let fields = text.split_whitespace().count();
    if text.starts_with('@') {
        if !NAMES.contains(&text.to_ascii_lowercase().as_str()) {
            return wrong("unknown name");
        }
    } else if !(5..=6).contains(&fields) {
        return wrong(&format!("it has {fields} fields"));
    }
    WallClock::parse(text).or_else(|error| match invalid_field(text) {
        Some((name, field)) => wrong(&format!("{field:?} is not a valid {name}")),
        None => wrong(&error.to_string()),
    })
}

/// The name and text of the first field that is invalid by itself.
fn invalid_field(text: &str) -> Option<(&'static str, &str)> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let names = FIELDS.iter().skip(FIELDS.len() - fields.len().min(FIELDS.len()));
    names.zip(&fields).enumerate().find_map(|(at, (name, field))| {
        let mut alone = vec!["*"; fields.len()];
        alone[at] = field;
        WallClock::parse(&alone.join(" ")).is_err().then_some((*name, *field))
    })
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

/// The time zone of the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(pub Tz);

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| {
            format!("invalid time zone {text:?}: expected an IANA name, for example Europe/Berlin")
        };
        text.parse().map(Self).map_err(wrong)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::America::New_York;
    use chrono_tz::Australia::Lord_Howe;
    use chrono_tz::Europe::Berlin;
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn expression(text: &str) -> Expression {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The ticks after `from`, each as the local clock shows it with its offset.
    fn ticks(text: &str, zone: Tz, from: &str, count: usize) -> Vec<String> {
        let expression = expression(text);
        let first = expression.next(utc(from), zone);
        std::iter::successors(first, |tick| expression.next(*tick, zone))
            .take(count)
            .map(|tick| tick.with_timezone(&zone).format("%m-%d %H:%M %z").to_string())
            .collect()
    }

    #[test]
    fn every_form_is_understood_and_shown_as_written() {
        for (text, next) in [
            ("5 */3 * * *", "2026-01-16T06:05:00Z"),
            ("30 5 */3 * * *", "2026-01-16T06:05:30Z"),
            ("@hourly", "2026-01-16T06:00:00Z"),
            ("@Daily", "2026-01-17T00:00:00Z"),
            ("@weekly", "2026-01-18T00:00:00Z"),
            ("@monthly", "2026-02-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("0 12 * * MON-FRI", "2026-01-16T12:00:00Z"),
            ("0 0 L * *", "2026-01-31T00:00:00Z"),
            ("@every 300s", "2026-01-16T05:05:00Z"),
            ("@EVERY  5m", "2026-01-16T05:05:00Z"),
            ("@every 90", "2026-01-16T05:01:30Z"),
        ] {
            let expression = expression(&format!(" {text} "));
            assert_eq!(expression.to_string(), text);
            let after = utc("2026-01-16T05:00:00.250Z");
            assert_eq!(expression.next(after, Tz::UTC), Some(utc(next)), "{text}");
        }
    }

    #[test]
    fn invalid_schedules_are_refused_with_a_reason() {
        for (text, why) in [
            ("", "it is empty"),
            ("* * * *", "it has 4 fields"),
            ("* * * * * * 2027", "it has 7 fields"),
            ("61 * * * *", "\"61\" is not a valid minute"),
            ("* 24 * * *", "\"24\" is not a valid hour"),
            ("* * 0 * *", "\"0\" is not a valid day"),
            ("* * * 13 *", "\"13\" is not a valid month"),
            ("* * * * 8", "\"8\" is not a valid weekday"),
            ("60 * * * * *", "\"60\" is not a valid second"),
            ("5-1 * * * *", "\"5-1\" is not a valid minute"),
            ("*/0 * * * *", "\"*/0\" is not a valid minute"),
            ("0 noon * * SUNDAY", "\"noon\" is not a valid hour"),
            ("0 0 30 2 *", "never fires"),
            ("0 0 31 4,6,9,11 *", "never fires"),
            ("@reboot", "unknown name"),
            ("@every", "invalid duration"),
            ("@every soon", "invalid duration"),
            ("@every 0s", "whole seconds"),
            ("@every 1500ms", "whole seconds"),
            ("@every 367d", "must not exceed"),
            ("@every 99999999999999999d", "invalid duration"),
        ] {
            let refused = text.parse::<Expression>().expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let refused = "Europe/Atlantis".parse::<TimeZone>().expect_err("not a zone");
        assert!(refused.contains("IANA"), "{refused}");
    }

    #[test]
    fn a_period_ticks_at_its_multiples() {
        let expression = expression("@every 7s");
        for second in 0..30 {
            let time = DateTime::from_timestamp(1_790_000_000 + second, 999_999_999);
            let time = time.expect("a time");
            let next = expression.next(time, Berlin).expect("a tick");
            let previous = expression.previous(time, New_York).expect("a tick");
            assert_eq!((next.timestamp() % 7, next.timestamp() - previous.timestamp()), (0, 7));
            assert!(previous <= time && time < next);
        }
    }

    #[test]
    fn a_skipped_time_fires_right_after_the_gap() {
        assert_eq!(
            ticks("30 2 * * *", Berlin, "2026-03-28T00:00:00Z", 3),
            ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]
        );
        assert_eq!(
            ticks("30 2 * * *", New_York, "2026-03-07T06:00:00Z", 3),
            ["03-07 02:30 -0500", "03-08 03:00 -0400", "03-09 02:30 -0400"]
        );
        // An expression that fires through the gap leaves out the times that do not exist.
        assert_eq!(
            ticks("*/30 * * * *", Berlin, "2026-03-29T00:00:00Z", 4),
            ["03-29 01:30 +0100", "03-29 03:00 +0200", "03-29 03:30 +0200", "03-29 04:00 +0200"]
        );
    }

    #[test]
    fn a_repeated_time_fires_once_and_a_pattern_twice() {
        assert_eq!(
            ticks("30 2 * * *", Berlin, "2026-10-24T00:00:00Z", 3),
            ["10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"]
        );
        assert_eq!(
            ticks("30 1 * * *", New_York, "2026-10-31T05:00:00Z", 3),
            ["10-31 01:30 -0400", "11-01 01:30 -0400", "11-02 01:30 -0500"]
        );
        assert_eq!(
            ticks("*/30 * * * *", Berlin, "2026-10-24T23:30:00Z", 5),
            [
                "10-25 02:00 +0200",
                "10-25 02:30 +0200",
                "10-25 02:00 +0100",
                "10-25 02:30 +0100",
                "10-25 03:00 +0100"
            ]
        );
    }

    #[test]
    fn a_leap_day_is_skipped_in_2100() {
        let expression = expression("0 0 29 2 *");
        let year = |from: &str| {
            let tick = expression.next(utc(from), Berlin).expect("a tick");
            tick.with_timezone(&Berlin).format("%Y-%m-%d %H:%M").to_string()
        };
        assert_eq!(year("2026-01-01T00:00:00Z"), "2028-02-29 00:00");
        assert_eq!(year("2096-03-01T00:00:00Z"), "2104-02-29 00:00");
    }

    proptest! {
        /// From any start an expression has one set of ticks, also where clocks change.
        #[test]
        fn an_expression_has_one_set_of_ticks(
            which in 0_usize..8,
            zone in prop_oneof![Just(Berlin), Just(New_York), Just(Lord_Howe), Just(Tz::UTC)],
            change in prop_oneof![
                Just("2026-03-08T07:00:00Z"), Just("2026-03-29T01:00:00Z"),
                Just("2026-04-04T15:00:00Z"), Just("2026-10-03T15:30:00Z"),
                Just("2026-10-25T01:00:00Z"), Just("2026-11-01T06:00:00Z"),
            ],
            offset_s in -90_000_i64..90_000,
        ) {
            let texts = [
                "30 2 * * *", "0 3 * * *", "*/15 * * * *", "15,45 1-3 * * *",
                "0 0 * * *", "*/7 2 * * *", "59 59 1 * * *", "@every 1h",
            ];
            let expression = expression(texts[which]);
            let time = utc(change) + chrono::TimeDelta::seconds(offset_s);
            let second = chrono::TimeDelta::seconds(1);
            let next = expression.next(time, zone).expect("a tick");
            let previous = expression.previous(time, zone).expect("a tick");
            prop_assert!(previous <= time && time < next);
            // Each is the neighbour of the other, with no tick between them.
            prop_assert_eq!(expression.next(previous, zone), Some(next));
            prop_assert_eq!(expression.previous(next - second, zone), Some(previous));
            prop_assert_eq!(expression.previous(next, zone), Some(next));
            prop_assert_eq!(expression.next(previous - second, zone), Some(previous));
        }
    }
}
