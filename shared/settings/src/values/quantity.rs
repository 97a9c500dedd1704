//! Quantities: durations and sizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use isobar_model::duration::{format_duration, parse_duration};

/// A duration above zero: `500ms`, `10s`, `15m`, `6h`, `30d`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositiveDuration(pub Duration);

impl FromStr for PositiveDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text)?;
        if duration.is_zero() {
            return Err(format!("{text:?} must be above zero"));
        }
        Ok(Self(duration))
    }
}

impl fmt::Display for PositiveDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

/// A size above zero: `256 MiB`, `10MB`, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || {
            format!("invalid size {text:?}: expected bytes or for example 64KiB, 256MiB or 1GiB")
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "kb" => 1_000,
            "m" | "mib" => 1 << 20,
            "mb" => 1_000_000,
            "g" | "gib" => 1 << 30,
            "gb" => 1_000_000_000,
            _ => return Err(invalid()),
        };
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{} {name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_back() {
        for text in ["500ms", "10s", "15m", "6h", "30d"] {
            assert_eq!(text.parse::<PositiveDuration>().expect(text).to_string(), text);
        }
        assert_eq!("90".parse::<PositiveDuration>().expect("seconds").to_string(), "90s");
        assert_eq!("256 MiB".parse::<ByteSize>().expect("size"), ByteSize(256 << 20));
    }

    #[test]
    fn invalid_durations_are_refused() {
        for text in ["0s", "10x", "99999999999999999999d"] {
            assert!(text.parse::<PositiveDuration>().is_err(), "{text}");
        }
    }
}
