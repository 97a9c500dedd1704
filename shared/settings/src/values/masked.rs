//! URLs without their secrets, also where a URL is written wrongly.
//!
//! Guarantees: user information, everything before an `@`, and the values of a query never appear.
//! A token may be the user, so no part of the user information is shown.

use url::Url;

/// What people must write instead of the characters that end the user information.
const ENCODE: &str = "`/`, `#` and `?` in a user name or password must be written %2F, %23 and %3F";

/// A URL as messages may show it.
pub fn masked(url: &Url) -> String {
    masked_text(url.as_str())
}

/// The same for a text that may not be a URL.
pub(super) fn masked_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return "***".to_owned() };
    // The last one: an `@` in a password hides everything before it, too.
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let query = if end < rest.len() { "?***" } else { "" };
    format!("{scheme}://{user}{}{query}", rest[..end].trim_end_matches('/'))
}

/// An error if the user information seems to end too early: at a `/`, `#` or `?` that belongs to
/// the password, so that the rest of the password would become a part of the address.
pub(super) fn check_user(text: &str) -> Result<(), String> {
    let Some((_, rest)) = text.split_once("://") else { return Ok(()) };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[authority..].find('@') else { return Ok(()) };
    let before = &rest[authority..authority + at];
    // `?user=app@server` is an option of a database, not the end of a password.
    match before.split_once('?') {
        Some((path, query)) if query.contains('=') && !path.contains('#') => Ok(()),
        _ => Err(ENCODE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_appear() {
        for (text, shown) in [
            ("postgres://db.example:5432/app", "postgres://db.example:5432/app"),
            ("postgres://app:s3cret@db.example/app", "postgres://***@db.example/app"),
            ("redis://s3cret@cache.example:6379", "redis://***@cache.example:6379"),
            ("redis://:s3cret@cache.example/0/", "redis://***@cache.example/0"),
            ("postgres://app:s3/cret@db.example/app", "postgres://***@db.example/app"),
            ("postgres://app:s3#cret@db.example/app", "postgres://***@db.example/app"),
            ("postgres://app:s3?cret@db.example/app", "postgres://***@db.example/app"),
            ("postgres://app:s3@cret@db.example/app", "postgres://***@db.example/app"),
            ("https://h/p?appid=s3cret", "https://h/p?***"),
            ("https://h/p#s3cret", "https://h/p?***"),
            ("app:s3cret", "***"),
        ] {
            assert_eq!(masked_text(text), shown, "{text}");
        }
    }

    #[test]
    fn a_password_that_ends_too_early_is_refused() {
        for text in [
            "postgres://app:12/34word@db.example:5432/app",
            "postgres://app:12#34word@db.example:5432/app",
            "redis://:12?34word@cache.example:6379",
            "redis://us@er:12/34@cache.example",
            "http://key/1@h",
        ] {
            assert!(check_user(text).expect_err(text).contains("%2F, %23 and %3F"));
        }
        for text in [
            "postgres://app:pw@db/app",
            "postgres://db/app?user=app@server&password=x",
            "redis://:p@ss@cache",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(check_user(text), Ok(()), "{text}");
        }
    }
}
