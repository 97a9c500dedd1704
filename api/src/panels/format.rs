//! How numbers and times are written on the page: values that format themselves.
//!
//! Guarantees: a template writes `{{ total }}` and every number looks alike. Times are absolute and
//! in UTC. The browser shows those marked `data-age` and `data-until` as "12 s ago" and "in 3 min". So
//! a panel is not sent again only because time has passed.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use isobar_model::human::{grouped, two_units};

/// A whole number: `34,006`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(self.0))
    }
}

impl HtmlSafe for Count {}

/// A rate: one decimal below ten, none above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 9.95 {
            write!(f, "{:.1}", self.0)
        } else {
            Count(self.0.max(0.0).round() as u64).fmt(f)
        }
    }
}

impl HtmlSafe for Rate {}

/// A time that the browser shows as an age or as the time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTag {
    at: DateTime<Utc>,
    shown_as: ShownAs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShownAs {
    /// `12 s ago`.
    Age,
    /// `in 12 s`.
    Until,
}

impl TimeTag {
    pub fn age(at: DateTime<Utc>) -> Self {
        Self { at, shown_as: ShownAs::Age }
    }

    pub fn until(at: DateTime<Utc>) -> Self {
        Self { at, shown_as: ShownAs::Until }
    }
}

impl fmt::Display for TimeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attribute = match self.shown_as {
            ShownAs::Age => " data-age",
            ShownAs::Until => " data-until",
        };
        write!(f, r#"<time datetime="{}"{attribute}>{}</time>"#, rfc3339(self.at), UtcTime(self.at))
    }
}

impl HtmlSafe for TimeTag {}

/// A time for people: `16 Jan 12:03:04`. The page says that times are UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcTime(pub DateTime<Utc>);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%-d %b %H:%M:%S"))
    }
}

impl HtmlSafe for UtcTime {}

/// For machines, to the second.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.trunc_subsecs(0).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How long something took or will take, in at most two units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub u64);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&two_units(self.0))
    }
}

impl HtmlSafe for HumanDuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_below_ten_has_one_decimal() {
        let text = |rate| Rate(rate).to_string();
        assert_eq!([0.0, 0.25, 9.94, 9.96, 5_300.4].map(text), ["0", "0.2", "9.9", "10", "5,300"]);
    }

    #[test]
    fn a_time_is_readable_without_scripts() {
        let at = DateTime::from_timestamp(1_768_565_045, 987_000_000).expect("a time");
        assert_eq!(
            TimeTag::age(at).to_string(),
            r#"<time datetime="2026-01-16T12:04:05Z" data-age>16 Jan 12:04:05</time>"#
        );
    }
}
