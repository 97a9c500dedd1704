//! Classify: the error class of an upstream's answer, a pure function of status and reason.
//!
//! | status | reason | class |
//! |---|---|---|
//! | any | limit per minute, hour, day | wait until that UTC boundary |
//! | any | too many concurrent requests | wait a moment |
//! | 429 | other | wait as `Retry-After` says, else until the next minute |
//! | 408, 5xx | | retry |
//! | 400, 404 | names a location | bad location |
//! | 400, 413, 414 | too many locations, too much data | too large: split |
//! | 3xx, 401, 403, other 4xx | | misconfigured: an operator must act |

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// The longest `Retry-After` that is accepted: a broken one must not stop workers for a year.
const LONGEST_RETRY_AFTER: TimeDelta = TimeDelta::hours(6);
/// The shortest wait after a 429, also for `Retry-After: 0` and dates in the past.
const SHORTEST_WAIT: TimeDelta = TimeDelta::milliseconds(500);

/// The class of an answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    Retry,
    TooLarge,
    BadLocation,
    /// The provider's quota is used up until then.
    Exhausted(DateTime<Utc>),
    /// Too many requests at once.
    Crowded(DateTime<Utc>),
    Misconfigured,
}

/// `reason` is the provider's text, `retry_after` the header as sent.
pub fn classify(
    status: u16,
    reason: &str,
    retry_after: Option<&str>,
    now: DateTime<Utc>,
) -> ErrorClass {
    if let Some(until) = exhausted(reason, now) {
        return ErrorClass::Exhausted(until);
    }
    if reason.contains("Too many concurrent requests") {
        return ErrorClass::Crowded(now + SHORTEST_WAIT);
    }
    match status {
        429 => ErrorClass::Exhausted(
            retry_after
                .and_then(|text| parse_retry_after(text, now))
                .unwrap_or_else(|| next(TimeDelta::minutes(1), now)),
        ),
        408 | 500..=599 => ErrorClass::Retry,
        400 | 404 if names_location(reason) => ErrorClass::BadLocation,
        400 if is_too_large(reason) => ErrorClass::TooLarge,
        413 | 414 => ErrorClass::TooLarge,
        _ => ErrorClass::Misconfigured,
    }
}

/// Open-Meteo names the exhausted window only in its reason.
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

fn names_location(reason: &str) -> bool {
    reason.contains("Latitude must be in range")
        || reason.contains("Longitude must be in range")
        || reason.contains("No data is available for this location")
        || reason.contains("wrong latitude")
        || reason.contains("wrong longitude")
        || reason.contains("city not found")
        || reason.contains("Nothing to geocode")
}

fn is_too_large(reason: &str) -> bool {
    reason.contains("locations can be requested at once")
        || reason.contains("requests too much data")
}

/// The next boundary of a window that is aligned to UTC.
fn next(window: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(window).unwrap_or(now) + window
}

/// Seconds or an HTTP date, within the bounds above.
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
    fn every_row_of_the_table_holds() {
        let now = at("2026-01-16T05:07:30Z");
        let minute = ErrorClass::Exhausted(at("2026-01-16T05:08:00Z"));
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
                ErrorClass::Exhausted(at("2026-01-16T06:00:00Z")),
            ),
            (
                429,
                "Daily API request limit exceeded. Please try again tomorrow.",
                ErrorClass::Exhausted(at("2026-01-17T00:00:00Z")),
            ),
            (429, "Too many concurrent requests", ErrorClass::Crowded(now + SHORTEST_WAIT)),
            (400, "Too many concurrent requests", ErrorClass::Crowded(now + SHORTEST_WAIT)),
            (429, "Your account is temporary blocked", minute),
            (503, "The service is overloaded", ErrorClass::Retry),
            (500, "", ErrorClass::Retry),
            (408, "", ErrorClass::Retry),
            (400, "Latitude must be in range of -90 to 90°. Given: 91.0.", ErrorClass::BadLocation),
            (
                400,
                "Longitude must be in range of -180 to 180°. Given: 181.0.",
                ErrorClass::BadLocation,
            ),
            (400, "No data is available for this location", ErrorClass::BadLocation),
            (400, "wrong latitude", ErrorClass::BadLocation),
            (404, "city not found", ErrorClass::BadLocation),
            (400, "Only up to 1000 locations can be requested at once", ErrorClass::TooLarge),
            (
                400,
                "Your API call requests too much data. Please reduce the number of variables, locations and/or weather models.",
                ErrorClass::TooLarge,
            ),
            (414, "", ErrorClass::TooLarge),
            (
                400,
                "Parameter 'latitude' and 'longitude' must have the same number of elements",
                ErrorClass::Misconfigured,
            ),
            (400, "Invalid timezone", ErrorClass::Misconfigured),
            (400, "API key required. Please add &apikey= to the URL.", ErrorClass::Misconfigured),
            (401, "Invalid API key.", ErrorClass::Misconfigured),
            (403, "", ErrorClass::Misconfigured),
            (404, "Not Found", ErrorClass::Misconfigured),
            (303, "", ErrorClass::Misconfigured),
        ] {
            assert_eq!(classify(status, reason, None, now), expected, "{status} {reason}");
        }
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        let now = at("2026-01-16T05:07:30Z");
        for (header, expected) in [
            ("20", "2026-01-16T05:07:50Z"),
            ("0", "2026-01-16T05:07:30.500Z"),
            ("Fri, 16 Jan 2026 05:10:00 GMT", "2026-01-16T05:10:00Z"),
            ("Fri, 16 Jan 2015 05:10:00 GMT", "2026-01-16T05:07:30.500Z"),
            ("99999999", "2026-01-16T11:07:30Z"),
            ("soon", "2026-01-16T05:08:00Z"),
        ] {
            let expected = ErrorClass::Exhausted(at(expected));
            assert_eq!(classify(429, "", Some(header), now), expected, "{header}");
        }
    }
}
