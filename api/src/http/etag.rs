//! `If-None-Match`: whether a client already has an answer.
//!
//! Guarantees: tags are compared weakly, in a list of any length; `*` matches every tag.

use axum::http::HeaderValue;

/// Whether one of the client's `tags` is `own`, compared weakly.
pub fn is_known(tags: Option<&HeaderValue>, own: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (Some(Ok(tags)), Ok(own)) = (tags.map(HeaderValue::to_str), own.to_str()) else {
        return false;
    };
    let own = opaque(own);
    tags.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_weak_or_strong() {
        let own = HeaderValue::from_static("W/\"abc\"");
        for (tags, expected) in [
            ("W/\"abc\"", true),
            ("\"abc\"", true),
            ("\"x\", W/\"abc\"", true),
            ("*", true),
            ("\"ab\"", false),
            ("", false),
        ] {
            assert_eq!(is_known(Some(&HeaderValue::from_static(tags)), &own), expected, "{tags}");
        }
        assert!(!is_known(None, &own));
    }
}
