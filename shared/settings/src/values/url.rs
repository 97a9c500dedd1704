//! URLs of services and of Redis.
//!
//! Guarantees: display and debug text, and errors, hide users, passwords and queries.
//! Next: [`super::database_url`].

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::masked::{check_user, masked, masked_text};

/// An `http` or `https` base address, without a query.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The messages do not repeat the text, which may contain a password.
        let help = "expected http:// or https:// and a host, for example http://127.0.0.1:8090";
        check_user(text)?;
        let url = Url::parse(text).map_err(|error| format!("invalid URL ({error}): {help}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(help.to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

/// The address of Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(pub String);

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let schemes =
            ["redis://", "rediss://", "unix://", "redis+unix://", "valkey://", "valkeys://"];
        let help = "expected redis://, rediss:// or unix://, for example redis://127.0.0.1:6379/0";
        if !schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(help.into());
        }
        check_user(text)?;
        Url::parse(text).map_err(|error| format!("invalid URL ({error}): {help}"))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_text(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_addresses_are_refused_with_an_example() {
        for text in [
            "ftp://x",
            "localhost:8090",
            "s3cret@h",
            "http://",
            "http://u:s3cret@h:x",
            "http://h/ /s3cret@x",
        ] {
            let error = text.parse::<HttpUrl>().expect_err(text);
            assert!(!error.contains("s3cret"), "{error}");
        }
        for text in ["http://x", "cache:6379", "redis://app:s3cret@h:x", "redis://app:s3/cret@h"] {
            let error = text.parse::<RedisUrl>().expect_err(text);
            assert!(!error.contains("s3"), "{error}");
        }
    }

    #[test]
    fn urls_hide_their_secrets() {
        let redis: RedisUrl = "redis://s3cret:s3cret@127.0.0.1:6379/0".parse().expect("a URL");
        assert_eq!(format!("{redis:?}"), "redis://***@127.0.0.1:6379/0");
        let token: RedisUrl = "redis://s3cret@cache.example:6379".parse().expect("a URL");
        assert_eq!(token.to_string(), "redis://***@cache.example:6379");
        let http: HttpUrl = "https://s3cret@h/x?key=s3cret".parse().expect("a URL");
        assert_eq!(http.to_string(), "https://***@h/x?***");
    }
}
