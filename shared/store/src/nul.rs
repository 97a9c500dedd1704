//! NUL characters: removed from messages for people, refused in data.
//!
//! PostgreSQL stores no NUL, SQLite would, and many readers cut a text there. So both backends
//! refuse data with a NUL ([`crate::sqlite::query`] does it for SQLite). A reason or an error
//! message loses the character instead of failing the commit that reports it.

use std::borrow::Cow;

pub fn strip_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_only_its_nul() {
        assert_eq!(strip_nul("a\0b\0"), "ab");
        assert!(matches!(strip_nul("São"), Cow::Borrowed("São")));
    }
}
