//! URLs of services, of Redis and of the store.
//!
//! Guarantees: display and debug text hide passwords and queries.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// An `http` or `https` base address, without a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("invalid URL {text:?}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{text:?} must start with http:// or https:// and name a host"));
        }
        Ok(Self(url))
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
        if schemes.iter().any(|scheme| text.starts_with(scheme)) {
            Ok(Self(text.to_owned()))
        } else {
            // The message does not repeat the text, which may contain a password.
            Err("it must start with redis://, rediss:// or unix://".into())
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::parse(&self.0) {
            Ok(url) => f.write_str(&masked(&url)),
            Err(_) => f.write_str("***"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address of the store.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Postgres(String),
    Sqlite(PathBuf),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "it must start with postgres://, postgresql:// or sqlite://".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        // Older installations name a driver: `postgresql+asyncpg://`.
        match scheme.split('+').next().unwrap_or(scheme) {
            "postgres" | "postgresql" => Ok(Self::Postgres(format!("postgres://{rest}"))),
            "sqlite" if !rest.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(rest.split('?').next().unwrap_or(rest))))
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(text) => match Url::parse(text) {
                Ok(url) => f.write_str(&masked(&url)),
                Err(_) => f.write_str("postgres://***"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL with hidden password and query, because both may contain secrets.
pub fn masked(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for a URL that cannot have a password, and this one has a password.
        let _ = url.set_password(Some("***"));
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_schemes_are_refused() {
        assert!("ftp://x".parse::<HttpUrl>().is_err());
        assert!("mysql://x/y".parse::<DatabaseUrl>().is_err());
        assert!("http://x".parse::<RedisUrl>().is_err());
    }

    #[test]
    fn urls_hide_their_secrets() {
        let redis: RedisUrl = "redis://user:hunter2@127.0.0.1:6379/0".parse().expect("a URL");
        let database: DatabaseUrl =
            "postgresql+psycopg://u:hunter2@db/x?password=hunter2".parse().expect("a URL");
        for shown in [redis.to_string(), format!("{database:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
