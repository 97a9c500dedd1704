//! Text that a spreadsheet would take for a formula, made harmless on the way out and itself again on
//! the way in.
//!
//! A name such as `=HYPERLINK(…)` is run by whoever opens an exported file. An apostrophe before it
//! makes it text; numbers are left alone. Every text comes back as it was, also one that begins with
//! apostrophes of its own (`'s-Hertogenbosch` is a city).

use std::borrow::Cow;

const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The text as a cell of a file that people open.
pub fn neutralised(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) && text.parse::<f64>().is_err() {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that [`neutralised`] was given.
pub fn restored(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_dangerous(text) => text,
        _ => cell,
    }
}

/// Whether a formula's sign comes first, behind apostrophes or not.
fn is_dangerous(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_text_and_every_text_comes_back() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+49", "+49"),
            ("-12.5", "-12.5"),
            ("-foo", "'-foo"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("'=x", "''=x"),
            ("''-x", "'''-x"),
            ("'s-Hertogenbosch", "'s-Hertogenbosch"),
            ("São Paulo", "São Paulo"),
            ("'", "'"),
            ("", ""),
        ] {
            assert_eq!(neutralised(text), cell);
            assert_eq!(restored(cell), text);
        }
    }
}
