//! Decimal: prints scaled integers as JSON numbers.
//!
//! The state of the simulator consists of integers of the last printed decimal, for example tenths
//! of a degree.
//! Guarantees: the printed text is exact and the same on every machine. Printing takes a few
//! nanoseconds, because it is the inner loop of the forecast.

use std::io::Write;

/// Appends `scaled / 10^decimals` with exactly `decimals` decimals: `(-5, 1)` gives `-0.5`.
pub fn push_fixed(out: &mut Vec<u8>, scaled: i64, decimals: usize) {
    // Enough for 20 digits of a u64, a point, a sign and leading zeros.
    let mut text = [b'0'; 32];
    let mut at = text.len();
    let mut rest = scaled.unsigned_abs();
    let mut written = 0;
    while rest > 0 || written <= decimals {
        if written == decimals && decimals > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    if scaled < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.extend_from_slice(&text[at..]);
}

/// The text that [`push_fixed`] appends.
pub fn fixed(scaled: i64, decimals: usize) -> String {
    let mut text = Vec::with_capacity(8);
    push_fixed(&mut text, scaled, decimals);
    String::from_utf8(text).expect("digits are UTF-8")
}

/// `scaled / 10^decimals` without trailing zeros, as OpenWeather prints it: 22 instead of 22.00.
pub fn trimmed(mut scaled: i64, mut decimals: usize) -> String {
    while decimals > 0 && scaled % 10 == 0 {
        scaled /= 10;
        decimals -= 1;
    }
    fixed(scaled, decimals)
}

/// Appends the shortest text that parses to the same `f32`, always with a decimal (`91.0`).
pub fn push_f32(out: &mut Vec<u8>, value: f32) {
    write!(out, "{value:?}").expect("a Vec takes every write");
}

/// `dividend / divisor`, rounded half away from zero, for unit conversions in integers.
pub fn rounded_division(dividend: i64, divisor: i64) -> i64 {
    let half = divisor / 2;
    if dividend < 0 { (dividend - half) / divisor } else { (dividend + half) / divisor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_decimals_keep_their_zeros_and_signs() {
        for (scaled, decimals, expected) in [
            (0, 1, "0.0"),
            (5, 1, "0.5"),
            (-5, 1, "-0.5"),
            (17, 1, "1.7"),
            (-123, 1, "-12.3"),
            (40, 2, "0.40"),
            (7, 3, "0.007"),
            (10_132, 1, "1013.2"),
            (270, 0, "270"),
            (0, 0, "0"),
        ] {
            assert_eq!(fixed(scaled, decimals), expected);
        }
        assert_eq!(fixed(i64::MIN, 0), i64::MIN.to_string());
    }

    #[test]
    fn trimmed_decimals_may_be_an_integer() {
        assert_eq!(trimmed(2200, 2), "22");
        assert_eq!(trimmed(-2210, 2), "-22.1");
        assert_eq!(trimmed(0, 2), "0");
    }

    #[test]
    fn a_coordinate_shows_the_noise_of_single_precision() {
        for (degrees, expected) in
            [(91.0, "91.0"), (482.0 * 0.1, "48.2"), (1383.0 * 0.1 - 90.0, "48.300003")]
        {
            let mut text = Vec::new();
            push_f32(&mut text, degrees);
            assert_eq!(text, expected.as_bytes());
        }
    }

    #[test]
    fn division_rounds_half_away_from_zero() {
        assert_eq!(rounded_division(15, 10), 2);
        assert_eq!(rounded_division(-15, 10), -2);
        assert_eq!(rounded_division(14, 10), 1);
    }
}
