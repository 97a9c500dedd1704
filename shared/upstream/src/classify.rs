//! The outcome table: what an upstream's answer means, as a pure function of status and reason.
//!
//! | status | reason | verdict |
//! |---|---|---|
//! | 429, or any with a limit's reason | minutely, hourly, daily | wait until that UTC boundary |
//! | any | too many concurrent requests | wait a moment |
//! | 429 | other | wait as `Retry-After` says, else until the next minute |
//! | 408, 5xx | | retry |
//! | 400, 404 | names a location | that location has failed |
//! | 400, 413, 414 | too many locations, too much data | split |
//! | 3xx, 401, 403, other 4xx | | configuration: a person must mend it |
//!
//! A 200 that does not parse is decided where it is parsed: retry.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Longest `Retry-After` that is believed: a broken one must not stop us for a year.
const LONGEST_RETRY_AFTER: TimeDelta = TimeDelta::hours(6);
/// Shortest wait after a 429, also for `Retry-After: 0` and dates that are past.
const SHORTEST_WAIT: TimeDelta = TimeDelta::milliseconds(500);

/// What to do about an answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Retry,
    Split,
    Location,
    /// The provider's quota is used up until then.
    Exhausted(DateTime<Utc>),
    /// Too many requests at once.
    Crowded(DateTime<Utc>),
    Config,
}

/// Decides. `reason` is the provider's text, `retry_after` the header as sent.
pub fn verdict(
    status: u16,
    reason: &str,
    retry_after: Option<&str>,
    now: DateTime<Utc>,
) -> Verdict {
    if let Some(until) = exhausted(reason, now) {
        return Verdict::Exhausted(until);
    }
    if reason.contains("Too many concurrent requests") {
        return Verdict::Crowded(now + SHORTEST_WAIT);
    }
    match status {
        429 => Verdict::Exhausted(
            retry_after
                .and_then(|text| parse_retry_after(text, now))
                .unwrap_or_else(|| next(TimeDelta::minutes(1), now)),
        ),
        408 | 500..=599 => Verdict::Retry,
        400 | 404 if names_a_location(reason) => Verdict::Location,
        400 if asks_too_much(reason) => Verdict::Split,
        413 | 414 => Verdict::Split,
        _ => Verdict::Config,
    }
}

/// Open-Meteo tells only in words which window is used up.
fn exhausted(reason: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let window = if reason.contains("Minutely API request limit") {
        TimeDelta::minutes(1)
    } else if reason.contains("Hourly API request limit") {
        TimeDelta::hours(1)
    } else if reason.contains("Daily API request limit") {
        TimeDelta::days(1)
    } else {
        return None;
    };
    Some(next(window, now))
}

fn names_a_location(reason: &str) -> bool {
    reason.contains("Latitude must be in range")
        || reason.contains("Longitude must be in range")
        || reason.contains("No data is available for this location")
        || reason.contains("wrong latitude")
        || reason.contains("wrong longitude")
        || reason.contains("city not found")
        || reason.contains("Nothing to geocode")
}

fn asks_too_much(reason: &str) -> bool {
    reason.contains("locations can be requested at once")
        || reason.contains("requests too much data")
}

/// The next boundary of a window that is aligned to UTC.
fn next(window: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(window).unwrap_or(now) + window
}

/// Seconds or an HTTP date; never sooner than a moment, never later than is believable.
fn parse_retry_after(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wait = match text.trim().parse::<i64>() {
        Ok(seconds) => TimeDelta::try_seconds(seconds)?,
        Err(_) => DateTime::parse_from_rfc2822(text.trim()).ok()?.with_timezone(&Utc) - now,
    };
    Some(now + wait.clamp(SHORTEST_WAIT, LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn every_row_of_the_table() {
        let now = at("2026-01-16T05:07:30Z");
        let minute = Verdict::Exhausted(at("2026-01-16T05:08:00Z"));
        for (status, reason, expected) in [
            (
                429,
                "Minutely API request limit exceeded. Please try again in one minute.",
                minute.clone(),
            ),
            (
                400,
                "Minutely API request limit exceeded. Please try again in one minute.",
                minute.clone(),
            ),
            (
                429,
                "Hourly API request limit exceeded. Please try again in the next hour.",
                Verdict::Exhausted(at("2026-01-16T06:00:00Z")),
            ),
            (
                429,
                "Daily API request limit exceeded. Please try again tomorrow.",
                Verdict::Exhausted(at("2026-01-17T00:00:00Z")),
            ),
            (429, "Too many concurrent requests", Verdict::Crowded(now + SHORTEST_WAIT)),
            (400, "Too many concurrent requests", Verdict::Crowded(now + SHORTEST_WAIT)),
            (429, "Your account is temporary blocked", minute),
            (503, "The service is overloaded", Verdict::Retry),
            (500, "", Verdict::Retry),
            (408, "", Verdict::Retry),
            (400, "Latitude must be in range of -90 to 90°. Given: 91.0.", Verdict::Location),
            (400, "Longitude must be in range of -180 to 180°. Given: 181.0.", Verdict::Location),
            (400, "No data is available for this location", Verdict::Location),
            (400, "wrong latitude", Verdict::Location),
            (404, "city not found", Verdict::Location),
            (400, "Only up to 1000 locations can be requested at once", Verdict::Split),
            (
                400,
                "Your API call requests too much data. Please reduce the number of variables, locations and/or weather models.",
                Verdict::Split,
            ),
            (414, "", Verdict::Split),
            (
                400,
                "Parameter 'latitude' and 'longitude' must have the same number of elements",
                Verdict::Config,
            ),
            (400, "Invalid timezone", Verdict::Config),
            (400, "API key required. Please add &apikey= to the URL.", Verdict::Config),
            (401, "Invalid API key.", Verdict::Config),
            (403, "", Verdict::Config),
            (404, "Not Found", Verdict::Config),
            (303, "", Verdict::Config),
        ] {
            assert_eq!(verdict(status, reason, None, now), expected, "{status} {reason}");
        }
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let now = at("2026-01-16T05:07:30Z");
        for (header, expected) in [
            ("20", "2026-01-16T05:07:50Z"),
            ("0", "2026-01-16T05:07:30.500Z"),
            ("Fri, 16 Jan 2026 05:10:00 GMT", "2026-01-16T05:10:00Z"),
            ("Fri, 16 Jan 2015 05:10:00 GMT", "2026-01-16T05:07:30.500Z"),
            ("99999999", "2026-01-16T11:07:30Z"),
            ("soon", "2026-01-16T05:08:00Z"),
        ] {
            let expected = Verdict::Exhausted(at(expected));
            assert_eq!(verdict(429, "", Some(header), now), expected, "{header}");
        }
    }
}
