//! Texts: paths, host names, and secrets.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// A path, shown as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSetting(pub PathBuf);

impl FromStr for PathSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(PathBuf::from(text)))
    }
}

impl fmt::Display for PathSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// Host names separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames(pub Vec<String>);

impl FromStr for HostNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        let is_name = |name: &String| {
            !name.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | ';' | '*'))
        };
        if names.iter().all(is_name) {
            return Ok(Self(names));
        }
        // An address may contain a password, so the message does not repeat it.
        Err("expected host names, for example weather.example.org,localhost".to_owned())
    }
}

impl fmt::Display for HostNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A text that is never shown.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let key: Secret = "hunter2".parse().expect("a secret");
        assert_eq!(key.expose(), "hunter2");
        for shown in [key.to_string(), format!("{key:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn only_names_are_taken_for_hosts() {
        let hosts: HostNames = "a.example, b.example:8443,,[::1]".parse().expect("names");
        assert_eq!(hosts.to_string(), "a.example,b.example:8443,[::1]");
        for text in ["https://a.example", "a.example b.example", "*", "a.example/isobar"] {
            let error = text.parse::<HostNames>().expect_err(text);
            assert!(error.contains("for example"), "{error}");
        }
    }
}
