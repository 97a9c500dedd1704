//! Policies: circuit breaker and quota.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use isobar_model::duration::format_duration;
use isobar_model::quota::QuotaLimits;

use super::quantity::PositiveDuration;

/// A circuit breaker: `failures/window/open`, for example `20/30s/15s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSpec {
    pub failures: u32,
    pub window: Duration,
    pub open: Duration,
}

impl FromStr for BreakerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let (Some(failures), Some(window), Some(open), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!(
                "invalid breaker {text:?}: expected failures/window/open, for example 20/30s/15s"
            ));
        };
        let failures: u32 = failures
            .trim()
            .parse()
            .map_err(|_| format!("invalid number of failures {failures:?}"))?;
        if failures == 0 {
            return Err("a breaker needs at least one failure to open".into());
        }
        Ok(Self {
            failures,
            window: window.trim().parse::<PositiveDuration>()?.0,
            open: open.trim().parse::<PositiveDuration>()?.0,
        })
    }
}

impl fmt::Display for BreakerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.failures,
            format_duration(self.window),
            format_duration(self.open)
        )
    }
}

/// A quota: `600/m,5000/h,10000/d`, any of these windows, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaSpec(pub QuotaLimits);

impl FromStr for QuotaSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = QuotaLimits::default();
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(limits));
        }
        for part in text.split(',') {
            let invalid = || {
                format!("invalid quota {part:?}: expected for example 600/m,5000/h,10000/d or none")
            };
            let (number, window) = part.trim().split_once('/').ok_or_else(invalid)?;
            let number =
                number.trim().parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(invalid)?;
            match window.trim() {
                "m" => limits.minute = Some(number),
                "h" => limits.hour = Some(number),
                "d" => limits.day = Some(number),
                _ => return Err(invalid()),
            }
        }
        Ok(Self(limits))
    }
}

impl fmt::Display for QuotaSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = [(self.0.minute, "m"), (self.0.hour, "h"), (self.0.day, "d")];
        let parts: Vec<String> = windows
            .iter()
            .filter_map(|(limit, unit)| limit.map(|limit| format!("{limit}/{unit}")))
            .collect();
        f.write_str(if parts.is_empty() { "none".into() } else { parts.join(",") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_back() {
        let breaker: BreakerSpec = "20/30s/15s".parse().expect("breaker");
        assert_eq!(breaker.to_string(), "20/30s/15s");
        let quota: QuotaSpec = "600/m,10000/d".parse().expect("quota");
        assert_eq!(quota.to_string(), "600/m,10000/d");
    }

    #[test]
    fn invalid_policies_are_refused() {
        assert!("1/2".parse::<BreakerSpec>().is_err());
        assert!("0/m".parse::<QuotaSpec>().is_err());
    }
}
