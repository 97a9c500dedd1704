//! The types of settings: how each is written, and how it is shown again.
//!
//! Parsing accepts what people write (`15m`, `256 MiB`, `600/m,5000/h`); `Display` gives a text
//! that parses to the same value, except for secrets, which show as `***`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use isobar_model::duration::{duration, show_duration};
use isobar_model::quota::QuotaLimits;
use isobar_model::string_enum;

/// A duration above zero: `500ms`, `10s`, `15m`, `6h`, `30d`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = duration(text)?;
        if duration.is_zero() {
            return Err(format!("{text:?} must be above zero"));
        }
        Ok(Self(duration))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_duration(self.0))
    }
}

/// `256 MiB`, `10MB`, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no size; write bytes, 64KiB, 256MiB or 1GiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "kb" => 1_000,
            "m" | "mib" => 1 << 20,
            "mb" => 1_000_000,
            "g" | "gib" => 1 << 30,
            "gb" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{} {name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// `failures/window/open`, as `20/30s/15s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSpec {
    pub failures: u32,
    pub window: Duration,
    pub open: Duration,
}

impl FromStr for BreakerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let (Some(failures), Some(window), Some(open), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!(
                "{text:?} is no breaker; write failures/window/open, as 20/30s/15s"
            ));
        };
        let failures: u32 =
            failures.trim().parse().map_err(|_| format!("{failures:?} is no number"))?;
        if failures == 0 {
            return Err("a breaker needs at least one failure to open".into());
        }
        Ok(Self {
            failures,
            window: window.trim().parse::<Seconds>()?.0,
            open: open.trim().parse::<Seconds>()?.0,
        })
    }
}

impl fmt::Display for BreakerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.failures, show_duration(self.window), show_duration(self.open))
    }
}

/// `600/m,5000/h,10000/d`, any of them, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaSpec(pub QuotaLimits);

impl FromStr for QuotaSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = QuotaLimits::default();
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(limits));
        }
        for part in text.split(',') {
            let wrong = || format!("{part:?} is no quota; write 600/m,5000/h,10000/d or none");
            let (number, window) = part.trim().split_once('/').ok_or_else(wrong)?;
            let number = number.trim().parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
            match window.trim() {
                "m" => limits.minute = Some(number),
                "h" => limits.hour = Some(number),
                "d" => limits.day = Some(number),
                _ => return Err(wrong()),
            }
        }
        Ok(Self(limits))
    }
}

impl fmt::Display for QuotaSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = [(self.0.minute, "m"), (self.0.hour, "h"), (self.0.day, "d")];
        let parts: Vec<String> = windows
            .iter()
            .filter_map(|(limit, unit)| limit.map(|limit| format!("{limit}/{unit}")))
            .collect();
        f.write_str(if parts.is_empty() { "none".into() } else { parts.join(",") }.as_str())
    }
}

string_enum! {
    /// Who tells the weather.
    Provider { OpenMeteo = "open-meteo", OpenWeather = "openweather" }
}

string_enum! {
    /// Which broker, where it is not plain from the URLs.
    BrokerChoice { Redis = "redis", Embedded = "embedded" }
}

string_enum! {
    /// How log lines look.
    LogFormat { Pretty = "pretty", Json = "json" }
}

/// An `http` or `https` base address, without a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
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

/// Where Redis is.
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
            // The text may hold a password: it is not repeated.
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

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Postgres(String),
    Sqlite(PathBuf),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must start with postgres://, postgresql:// or sqlite://".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        // `postgresql+asyncpg://` and the like are left over from the ancestors' drivers.
        match scheme.split('+').next().unwrap_or(scheme) {
            "postgres" | "postgresql" => Ok(Self::Postgres(format!("postgres://{rest}"))),
            "sqlite" if !rest.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(rest.split('?').next().unwrap_or(rest))))
            }
            _ => Err(wrong()),
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

/// A path, shown as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

impl FromStr for Folder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(PathBuf::from(text)))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// Names separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(
            text.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        ))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Something that is never shown.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(SecretString::from(text)))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A URL with password and query hidden: both may hold secrets.
pub fn masked(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for URLs that cannot have a password, and this one has.
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
    fn values_read_back_what_they_show() {
        for text in ["500ms", "10s", "15m", "6h", "30d"] {
            assert_eq!(text.parse::<Seconds>().expect(text).to_string(), text);
        }
        assert_eq!("90".parse::<Seconds>().expect("seconds").to_string(), "90s");
        assert_eq!("256 MiB".parse::<ByteSize>().expect("size"), ByteSize(256 << 20));
        assert_eq!("20/30s/15s".parse::<BreakerSpec>().expect("breaker").to_string(), "20/30s/15s");
        assert_eq!(
            "600/m,10000/d".parse::<QuotaSpec>().expect("quota").to_string(),
            "600/m,10000/d"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!("0s".parse::<Seconds>().is_err());
        assert!("10x".parse::<Seconds>().is_err());
        assert!("1/2".parse::<BreakerSpec>().is_err());
        assert!("0/m".parse::<QuotaSpec>().is_err());
        assert!("ftp://x".parse::<HttpUrl>().is_err());
        assert!("mysql://x/y".parse::<DatabaseUrl>().is_err());
        assert!("99999999999999999999d".parse::<Seconds>().is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let redis: RedisUrl = "redis://user:hunter2@127.0.0.1:6379/0".parse().expect("a URL");
        let database: DatabaseUrl =
            "postgresql+psycopg://u:hunter2@db/x?password=hunter2".parse().expect("a URL");
        let key: Secret = "hunter2".parse().expect("a secret");
        for shown in
            [redis.to_string(), format!("{database:?}"), key.to_string(), format!("{key:?}")]
        {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
