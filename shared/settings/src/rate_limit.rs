//! The value of `ISOBAR_RATE_LIMIT`: `600/m`, `20/s`, or `none`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use isobar_model::duration::format_duration;

/// A rate limit per client: `600/m`, per `s`, `m` or `h`, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateSpec {
    None,
    Limited { requests: u32, window: Duration },
}

impl RateSpec {
    /// Requests and their window; `None` is unlimited.
    pub fn requests(self) -> Option<(u32, Duration)> {
        match self {
            Self::None => None,
            Self::Limited { requests, window } => Some((requests, window)),
        }
    }
}

impl FromStr for RateSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        let invalid = || format!("invalid rate {text:?}: expected for example 600/m, 20/s or none");
        let (number, unit) = text.split_once('/').ok_or_else(invalid)?;
        let requests = number.trim().parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?;
        let window = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(invalid()),
        };
        Ok(Self::Limited { requests, window })
    }
}

impl fmt::Display for RateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Limited { requests, window } => {
                let unit = format_duration(*window);
                write!(f, "{requests}/{}", unit.trim_start_matches('1'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_back_and_invalid_ones_are_refused() {
        for text in ["600/m", "20/s", "1/h", "none"] {
            assert_eq!(text.parse::<RateSpec>().expect(text).to_string(), text);
        }
        for text in ["", "0/m", "5/d", "x/s", "5", "-1/s"] {
            assert!(text.parse::<RateSpec>().is_err(), "{text}");
        }
    }
}
