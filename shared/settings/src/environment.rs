//! The environment: the variables of the process over those of a `.env` file.
//!
//! Guarantees: an empty value counts as unset, so `REDIS_URL=` in a compose file unsets it. A secret
//! may come from a file that `<NAME>_FILE` names.
//! Does not: change the process environment. Tests and `demo` bring an [`Environment`] of their own.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

/// NameList and values as found.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: HashMap<String, String>,
    problems: Vec<String>,
}

impl Environment {
    pub fn empty() -> Self {
        Self::default()
    }

    /// The process environment over the `.env` of the working folder, if there is one.
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        environment.read_dotenv(Path::new(".env"));
        environment.read_process();
        environment
    }

    /// The process environment without `.env` and without `except`.
    pub fn from_process_without(except: &[&str]) -> Self {
        let mut environment = Self::default();
        environment.read_process();
        for name in except {
            environment.values.remove(*name);
        }
        environment
    }

    /// Sets one value over all others, as a flag does.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// All of it, for a child process.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }

    pub(super) fn parse<T>(
        &self,
        name: &str,
        default: Option<&str>,
        errors: &mut Vec<String>,
    ) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let from_file = self.get(&format!("{name}_FILE")).map(std::fs::read_to_string);
        let text = match (self.get(name), from_file) {
            (Some(value), _) => value.to_owned(),
            (None, Some(Ok(value))) => value.trim().to_owned(),
            (None, Some(Err(error))) => {
                errors.push(format!("{name}_FILE cannot be read: {error}"));
                return None;
            }
            (None, None) => default?.to_owned(),
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                errors.push(format!("{name}: {error}"));
                None
            }
        }
    }

    fn read_process(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let found = std::env::vars_os();
        // A value that is not UTF-8 is not a setting.
        self.values.extend(found.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
    }

    fn read_dotenv(&mut self, path: &Path) {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return,
            Err(error) => {
                self.problems.push(format!("{}: {error}", path.display()));
                return;
            }
        };
        for line in lines {
            match line {
                Ok((name, value)) => {
                    self.values.insert(name, value);
                }
                // The error would quote the line, and the line may contain a secret.
                Err(_) => self
                    .problems
                    .push(format!("{} has a line that is not NAME=value", path.display())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_unset_and_files_hold_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\n").expect("writes");
        let environment = Environment::empty()
            .with("A", "  ")
            .with("B_FILE", path.to_string_lossy())
            .with("C_FILE", "/nowhere");
        let mut errors = Vec::new();
        assert_eq!(environment.parse::<u32>("A", Some("7"), &mut errors), Some(7));
        assert_eq!(environment.parse::<String>("B", None, &mut errors), Some("s3cret".to_owned()));
        assert_eq!(environment.parse::<String>("C", None, &mut errors), None);
        assert_eq!(errors.len(), 1);
    }
}
