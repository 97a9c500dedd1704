//! Numbers as people write them: coordinates and the numbers of cities. Pure.
//!
//! Guarantees: a text has one reading or none. A coordinate may have a decimal comma, because
//! neither a latitude nor a longitude has thousands; a city number may not. A sign that contradicts
//! its letter, minutes from 60 and a value out of range have no reading.

/// Which coordinate a text is, with its range and letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    Latitude,
    Longitude,
}

impl Axis {
    fn limit(self) -> f64 {
        match self {
            Self::Latitude => 90.0,
            Self::Longitude => 180.0,
        }
    }

    /// 1 or -1 for a letter of this axis.
    fn sign(self, letter: char) -> Option<f64> {
        match (self, letter.to_ascii_uppercase()) {
            (Self::Latitude, 'N') | (Self::Longitude, 'E') => Some(1.0),
            (Self::Latitude, 'S') | (Self::Longitude, 'W') => Some(-1.0),
            _ => None,
        }
    }
}

/// White space and characters without width, which files have around a field.
pub fn trim(text: &str) -> &str {
    if text.is_ascii() {
        return text.trim();
    }
    text.trim_matches(is_space)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}')
}

/// A coordinate in decimal degrees; `None` if the text has no reading, or is out of range.
pub fn coordinate(text: &str, axis: Axis) -> Option<f64> {
    let value = text.parse::<f64>().ok().or_else(|| written(text, axis))?;
    (-axis.limit()..=axis.limit()).contains(&value).then_some(value)
}

/// A coordinate with a comma, a sign of typography, a letter, or degrees, minutes and seconds.
fn written(text: &str, axis: Axis) -> Option<f64> {
    let mut rest = trim(text);
    let mut letter = None;
    if let Some(first) = rest.chars().next().filter(char::is_ascii_alphabetic) {
        letter = Some(axis.sign(first)?);
        rest = trim(&rest[1..]);
    } else if let Some(last) = rest.chars().next_back().filter(char::is_ascii_alphabetic) {
        letter = Some(axis.sign(last)?);
        rest = trim(&rest[..rest.len() - 1]);
    }
    let sign = rest.chars().next().and_then(|first| match first {
        '+' => Some(1.0),
        '-' | '\u{2212}' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '\u{fe63}' | '\u{ff0d}' => {
            Some(-1.0)
        }
        _ => None,
    });
    if sign.is_some() {
        rest = trim(&rest[rest.chars().next()?.len_utf8()..]);
    }
    // "-1.5 W" may mean west or east: it has no reading, like "-1.5 E".
    let direction = match (sign, letter) {
        (Some(sign), Some(letter)) if sign < 0.0 || letter < 0.0 => return None,
        (sign, letter) => letter.or(sign).unwrap_or(1.0),
    };
    Some(direction * magnitude(rest)?)
}

/// Degrees, or degrees and minutes, or degrees, minutes and seconds, without a sign.
fn magnitude(text: &str) -> Option<f64> {
    let (degrees, rest) = number(text)?;
    let Some(rest) = after(rest, &["°", "º", "˚"]) else {
        return trim(rest).is_empty().then_some(degrees.value);
    };
    if rest.is_empty() {
        return Some(degrees.value);
    }
    let (minutes, rest) = number(rest)?;
    let rest = after(rest, &["''", "′′"]).map_or_else(
        || after(rest, &["'", "′", "’", "‘", "ʹ", "´", "`"]),
        // Seconds without minutes are a mistake more often than not.
        |_| None,
    )?;
    let (seconds, rest) = if rest.is_empty() {
        (Number::ZERO, rest)
    } else {
        let (seconds, rest) = number(rest)?;
        (seconds, after(rest, &["\"", "″", "”", "“", "''", "′′", "’’", "ʺ"])?)
    };
    let is_whole = degrees.is_whole && (minutes.is_whole || seconds.value == 0.0);
    let fits = minutes.value < 60.0 && seconds.value < 60.0;
    (rest.is_empty() && is_whole && fits)
        .then(|| (degrees.value * 3600.0 + minutes.value * 60.0 + seconds.value) / 3600.0)
}

#[derive(Clone, Copy)]
struct Number {
    value: f64,
    is_whole: bool,
}

impl Number {
    const ZERO: Self = Self { value: 0.0, is_whole: true };
}

/// The number at the start, with a decimal point or one decimal comma, and the text after it.
fn number(text: &str) -> Option<(Number, &str)> {
    let text = text.trim_start_matches(is_space);
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let separators = digits.matches(['.', ',']).count();
    if separators > 1 || !digits.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if separators == 1 && !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = digits.replace(',', ".").parse().ok()?;
    Some((Number { value, is_whole: separators == 0 }, rest))
}

/// The text after one of these marks and white space.
fn after<'a>(text: &'a str, marks: &[&str]) -> Option<&'a str> {
    let text = trim(text);
    marks.iter().find_map(|mark| text.strip_prefix(mark)).map(trim)
}

/// The number of a city, as digits: `2735943.0` is `2735943`. `None` for other fractions, for
/// exponents (digits are lost) and for anything that may be a separator of thousands.
pub fn whole(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (digits, fraction) = text.split_once('.')?;
    // "1.000" may mean one thousand.
    let is_zero = matches!(fraction, "0" | "00");
    (is_zero && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_one_reading() {
        for (text, axis, value) in [
            ("48.115", Axis::Latitude, 48.115),
            ("+48.115", Axis::Latitude, 48.115),
            ("43,605", Axis::Latitude, 43.605),
            ("-4,486", Axis::Longitude, -4.486),
            ("−4.486", Axis::Longitude, -4.486),
            ("\u{2009}- 4.486\u{a0}", Axis::Longitude, -4.486),
            ("48°06'53\"N", Axis::Latitude, 48.114_722),
            ("1°40′46″ W", Axis::Longitude, -1.679_444),
            ("33° 51' 24.5'' S", Axis::Latitude, -33.856_806),
            ("47°23.64'N", Axis::Latitude, 47.394),
            ("47.394° N", Axis::Latitude, 47.394),
            ("0.685º E", Axis::Longitude, 0.685),
            ("1.554W", Axis::Longitude, -1.554),
            ("S 12,5", Axis::Latitude, -12.5),
            ("-33°30'", Axis::Latitude, -33.5),
            ("-0°30'", Axis::Latitude, -0.5),
            ("48.1°", Axis::Latitude, 48.1),
        ] {
            let read = coordinate(text, axis).unwrap_or_else(|| panic!("{text}"));
            assert!((read - value).abs() < 1e-6, "{text} is {read}");
        }
    }

    #[test]
    fn other_coordinates_have_none() {
        for text in [
            "",
            "north",
            "NaN",
            "inf",
            "91",
            "-90.5",
            "1,234,5",
            "1.234,5",
            "43,",
            ",5",
            "4 5",
            "-47.2N",
            "47.2E",
            "-1.5S",
            "+1.5S",
            "47.2NN",
            "48°60'N",
            "48°06'61\"N",
            "48.5°06'N",
            "48°06.5'10\"N",
            "48°06N",
            "48'06\"N",
            "95°N",
            "4３",
            "--4",
            "48°06'53\"X",
        ] {
            assert_eq!(coordinate(text, Axis::Latitude), None, "{text}");
        }
        assert_eq!(coordinate("180.01", Axis::Longitude), None);
        assert_eq!(coordinate("1.5 O", Axis::Longitude), None, "east in German, west in French");
    }

    #[test]
    fn city_numbers_keep_their_digits() {
        for (text, number) in [("2735943", 2_735_943), ("2735943.0", 2_735_943), ("7.00", 7)] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["4.56E+05", "1,042", "1.042", "1.000", "1 042", "26A5", "", ".0", "7.5"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
