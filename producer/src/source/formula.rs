//! Formula escaping: text that a spreadsheet would run as a formula becomes plain text.
//!
//! A spreadsheet that opens an exported file runs a name such as `=HYPERLINK(…)`. An apostrophe in
//! front makes it text; numbers stay as they are. Guarantees: an escaped text that is imported again
//! is unchanged, also if it starts with an apostrophe (`'s-Hertogenbosch` is a city).

use std::borrow::Cow;

const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The text as a cell of a file for spreadsheets.
pub fn neutralised(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) && text.parse::<f64>().is_err() {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The inverse of [`neutralised`].
pub fn unescape_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_dangerous(text) => text,
        _ => cell,
    }
}

/// Whether a formula sign comes first, apart from apostrophes.
fn is_dangerous(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escaped_text_is_restored() {
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
            assert_eq!(unescape_formula(cell), text);
        }
    }
}
