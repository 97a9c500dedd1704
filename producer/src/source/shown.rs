//! Shown text: how a text of a source appears in a sentence. Pure.
//!
//! Guarantees: without control characters, so every store takes it and no terminal runs it, and
//! with a length that a sentence can have.

/// The length of a quoted text.
const QUOTED_CHARS: usize = 60;

/// The text in quotes.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", shorten(text, QUOTED_CHARS))
}

/// At most so many characters, trimmed and without control characters.
pub fn shorten(text: &str, chars: usize) -> String {
    let text = text.trim_matches(' ');
    let mut shown = String::with_capacity(text.len().min(4 * chars));
    for (at, c) in text.chars().enumerate() {
        if at == chars {
            shown.push('…');
            break;
        }
        push(&mut shown, c);
    }
    shown
}

/// All of the text, with control characters as escapes such as `\u{0}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut shown, c));
    shown
}

fn push(shown: &mut String, c: char) {
    // Marks of direction can make a line read as another one.
    if c.is_control() || matches!(c, '\u{feff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    {
        shown.extend(c.escape_default());
    } else {
        shown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quoted("a\0b\u{1b}[1m"), "\"a\\u{0}b\\u{1b}[1m\"");
        assert_eq!(escaped("a\tb\u{202e}é"), "a\\tb\\u{202e}é");
        assert_eq!(shorten("  abcdef ", 3), "abc…");
    }
}
