//! How numbers and times are written on the page.
//!
//! Values that format themselves, so that a template says `{{ total }}` and every number of the
//! page looks alike. Times are absolute and in UTC in the text; the browser turns those marked
//! `data-age` and `data-until` into "12 s ago" and "in 3 min" and keeps them true by itself, so a
//! panel is not sent again only because time passed.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use isobar_model::human::grouped;

/// A whole number with its thousands apart: `34,006`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(self.0))
    }
}

impl HtmlSafe for Count {}

/// A rate: as many decimals as mean something.
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

/// A moment, as the browser is to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    at: DateTime<Utc>,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// `12 s ago`.
    Age,
    /// `in 12 s`.
    Until,
}

impl When {
    pub fn age(at: DateTime<Utc>) -> Self {
        Self { at, kept: Kept::Age }
    }

    pub fn until(at: DateTime<Utc>) -> Self {
        Self { at, kept: Kept::Until }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self.kept {
            Kept::Age => " data-age",
            Kept::Until => " data-until",
        };
        write!(f, r#"<time datetime="{}"{kept}>{}</time>"#, stamp(self.at), Clock(self.at))
    }
}

impl HtmlSafe for When {}

/// A moment in words of its own: `16 Jan 12:03:04`. The page says that it is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(pub DateTime<Utc>);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%-d %b %H:%M:%S"))
    }
}

impl HtmlSafe for Clock {}

/// For machines: to the second, which is all that the page shows.
pub fn stamp(at: DateTime<Utc>) -> String {
    at.trunc_subsecs(0).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How long something took or will take: two units at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours) = (self.0 / 86_400, self.0 / 3_600 % 24);
        let (minutes, seconds) = (self.0 / 60 % 60, self.0 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {seconds} s"),
            (0, _, _) => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

impl HtmlSafe for Span {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart_and_a_rate_has_the_decimals_that_mean_something() {
        let written = |n| Count(n).to_string();
        assert_eq!(
            [0, 999, 1_000, 34_006, 1_234_567].map(written),
            ["0", "999", "1,000", "34,006", "1,234,567"]
        );
        let rated = |rate| Rate(rate).to_string();
        assert_eq!([0.0, 0.25, 9.94, 9.96, 5_300.4].map(rated), ["0", "0.2", "9.9", "10", "5,300"]);
    }

    #[test]
    fn a_moment_is_readable_without_a_browser_and_exact_with_one() {
        let at = DateTime::from_timestamp(1_768_565_045, 987_000_000).expect("a moment");
        assert_eq!(
            When::age(at).to_string(),
            r#"<time datetime="2026-01-16T12:04:05Z" data-age>16 Jan 12:04:05</time>"#
        );
        let spans = [0, 59, 61, 3_600, 7_380, 90_000].map(|seconds| Span(seconds).to_string());
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 3 min", "1 d 1 h"]);
    }
}
