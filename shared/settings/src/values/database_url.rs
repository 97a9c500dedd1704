//! The address of the store: PostgreSQL, or a file of SQLite.
//!
//! Guarantees: display and debug text hide user, password and query. A relative path is one in the
//! working folder, also in the forms that SQLAlchemy has taught people; see [`sqlite_path`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::masked::{check_user, masked_text};

const HELP: &str = "expected for example postgres://user:password@host:5432/database, or \
                    sqlite://./isobar-data/isobar.db";

/// The address of the store.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Postgres(String),
    Sqlite(PathBuf),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').ok_or(HELP)?;
        let scheme = scheme.to_ascii_lowercase();
        // Older installations name a driver: `postgresql+asyncpg://`.
        let (kind, has_driver) =
            scheme.split_once('+').map_or((scheme.as_str(), false), |(kind, _)| (kind, true));
        match (kind, rest.strip_prefix("//")) {
            ("postgres" | "postgresql", Some(rest)) => {
                let text = format!("postgres://{rest}");
                check_user(&text)?;
                Url::parse(&text).map_err(|error| format!("invalid URL ({error}): {HELP}"))?;
                Ok(Self::Postgres(text))
            }
            ("sqlite", Some(rest)) => sqlite_path(rest, has_driver).map(Self::Sqlite),
            ("sqlite", None) => sqlite_path(rest, true).map(Self::Sqlite),
            _ => Err(HELP.to_owned()),
        }
    }
}

/// The path after `sqlite://`. Four slashes begin an absolute path. Three slashes do so, too, except
/// in the forms of SQLAlchemy, where they mean the working folder: with a driver, before a dot, and
/// before a file name without a folder.
fn sqlite_path(rest: &str, has_driver: bool) -> Result<PathBuf, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains(":memory:")
        || query.contains("mode=memory")
        || path.trim_matches('/').is_empty()
    {
        return Err(format!(
            "the store must be a file, because several processes share it: {HELP}"
        ));
    }
    if path.ends_with('/') {
        return Err(format!("the path ends with a slash, so it is not a file: {HELP}"));
    }
    let after_slash = path.strip_prefix('/').filter(|after| {
        let is_sqlalchemy = has_driver || after.starts_with('.') || !after.contains('/');
        after.starts_with('/') || is_sqlalchemy
    });
    Ok(PathBuf::from(after_slash.unwrap_or(path)))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(text) => f.write_str(&masked_text(text)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        match text.parse().unwrap_or_else(|error: String| panic!("{text}: {error}")) {
            DatabaseUrl::Sqlite(path) => path.display().to_string(),
            other @ DatabaseUrl::Postgres(_) => panic!("{other}"),
        }
    }

    #[test]
    fn sqlite_paths_are_what_people_mean() {
        for (text, expected) in [
            ("sqlite://weather.db", "weather.db"),
            ("sqlite://./data/weather.db", "./data/weather.db"),
            ("sqlite://data/weather.db?mode=rwc", "data/weather.db"),
            ("sqlite:///weather.db", "weather.db"),
            ("sqlite:///./weather.db", "./weather.db"),
            ("sqlite:///../weather.db", "../weather.db"),
            ("sqlite:///var/lib/weather.db", "/var/lib/weather.db"),
            ("sqlite:////var/lib/weather.db", "/var/lib/weather.db"),
            ("sqlite:////weather.db", "/weather.db"),
            ("sqlite+aiosqlite:///weather.db", "weather.db"),
            ("sqlite+aiosqlite:///./data/weather.db", "./data/weather.db"),
            ("sqlite+pysqlite:///data/weather.db", "data/weather.db"),
            ("sqlite+aiosqlite:////data/weather.db", "/data/weather.db"),
            ("SQLite:weather.db", "weather.db"),
        ] {
            assert_eq!(path(text), expected, "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused_with_an_example() {
        for text in [
            "mysql://x/y",
            "weather.db",
            "postgres:x",
            "postgres://app:s3cret@db:port/app",
            "sqlite://",
            "sqlite:///",
            "sqlite://:memory:",
            "sqlite:///:memory:",
            "sqlite::memory:",
            "sqlite+aiosqlite:///:memory:",
            "sqlite:///file.db?mode=memory",
            "sqlite:///var/lib/",
        ] {
            let error = text.parse::<DatabaseUrl>().expect_err(text);
            assert!(error.contains("for example") && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn users_and_queries_are_hidden() {
        let url: DatabaseUrl =
            "postgresql+psycopg://s3cret:s3cret@db/x?password=s3cret".parse().expect("a URL");
        assert_eq!(format!("{url:?}"), "postgres://***@db/x?***");
        let error = "postgres://app:12/34word@db.example:5432/app".parse::<DatabaseUrl>();
        let error = error.expect_err("cut");
        assert!(error.contains("%2F") && !error.contains("12"), "{error}");
    }
}
