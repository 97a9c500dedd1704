//! The environment: the variables of the process over those of a `.env` file.
//!
//! Guarantees: an empty value counts as unset, so `REDIS_URL=` in a compose file unsets it. A secret
//! may come from a file that `<NAME>_FILE` names. The error of a value from `.env` names its line.
//! Does not: change the process environment. Tests and `demo` bring an [`Environment`] of their own.
//! Next: [`crate::dotenv`], [`crate::unknown`].

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Display;
use std::num::ParseIntError;
use std::path::Path;
use std::str::FromStr;

use crate::dotenv;
use crate::unknown;

const DOTENV: &str = ".env";

/// Names and values as found.
#[derive(Clone, Default)]
pub struct Environment {
    values: HashMap<String, String>,
    /// The line of each value that comes from `.env`.
    lines: HashMap<String, usize>,
    problems: Vec<String>,
    /// What is odd but usable.
    notes: Vec<String>,
}

impl Environment {
    pub fn empty() -> Self {
        Self::default()
    }

    /// The process environment over the `.env` of the working folder, if there is one.
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        environment.read_dotenv(Path::new(DOTENV));
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
        self.lines.remove(name);
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

    /// Faults that the start should report and survive: unknown names, repeated lines.
    pub fn warnings(&self) -> Vec<String> {
        let mut names: Vec<&String> = self.values.keys().collect();
        names.sort();
        let unknown = names.into_iter().filter_map(|name| {
            let warning = unknown::warning(name, &self.values[name])?;
            Some(format!("{}{warning}", self.place_of(name)))
        });
        self.notes.iter().cloned().chain(unknown).collect()
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
        T::Err: Display + 'static,
    {
        let file = format!("{name}_FILE");
        let text = match (self.get(name), self.get(&file)) {
            (Some(value), _) => value.to_owned(),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) if text.trim().is_empty() => {
                    errors.push(format!("{}{file}: {path} is empty", self.place_of(&file)));
                    return None;
                }
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    let place = self.place_of(&file);
                    errors.push(format!("{place}{file}: {path} cannot be read: {error}"));
                    return None;
                }
            },
            (None, None) => default?.to_owned(),
        };
        match text.parse::<T>() {
            Ok(value) => Some(value),
            Err(error) => {
                let error = describe(&error, &text, default);
                errors.push(format!("{}{name}: {error}", self.place_of(name)));
                None
            }
        }
    }

    /// Where a message should send its reader: `.env line 3: `, or nothing for a variable of the
    /// process.
    fn place_of(&self, name: &str) -> String {
        self.lines.get(name).map_or_else(String::new, |line| format!("{DOTENV} line {line}: "))
    }

    fn read_process(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let found = std::env::vars_os();
        // A value that is not UTF-8 is not a setting.
        let found = found.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        for (name, value) in found {
            self.lines.remove(&name);
            self.values.insert(name, value);
        }
    }

    fn read_dotenv(&mut self, path: &Path) {
        let found = dotenv::read(path);
        self.problems.extend(found.errors);
        for assignment in found.assignments {
            let dotenv::Assignment { line, name, value } = assignment;
            self.values.insert(name.clone(), value);
            if let Some(earlier) = self.lines.insert(name.clone(), line) {
                self.notes.push(format!(
                    "{DOTENV} line {line}: {name} replaces the value of line {earlier}"
                ));
            }
        }
    }
}

/// The error with an example of a valid value. Only the types of secrets and of URLs may have secret
/// texts, and their errors do not repeat them.
fn describe<E: Display + 'static>(error: &E, text: &str, default: Option<&str>) -> String {
    if (error as &dyn Any).is::<ParseIntError>() {
        let example = default.unwrap_or("100");
        return format!("invalid number {text:?}: expected a whole number, for example {example}");
    }
    let error = error.to_string();
    match default.filter(|_| !error.contains("for example")) {
        Some(default) => format!("{error}; for example {default}"),
        None => error,
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
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
            .with("C_FILE", "/nowhere")
            .with("D_FILE", "/dev/null");
        let mut errors = Vec::new();
        assert_eq!(environment.parse::<u32>("A", Some("7"), &mut errors), Some(7));
        assert_eq!(environment.parse::<String>("B", None, &mut errors), Some("s3cret".to_owned()));
        assert_eq!(environment.parse::<String>("C", None, &mut errors), None);
        assert_eq!(environment.parse::<String>("D", None, &mut errors), None);
        assert_eq!(errors.len(), 2);
    }
    #[test]
    fn faults_in_the_file_name_their_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        let text = "ISOBAR_BATCHSIZE=250\n\nISOBAR_PAGE_LIMIT=many\nISOBAR_PAGE_LIMIT=few\n\
                    REDIS_URL=redis://app:12/s3cret@cache:6379\n";
        std::fs::write(&path, text).expect("writes");
        let mut environment = Environment::empty();
        environment.read_dotenv(&path);
        assert_eq!(
            environment.warnings(),
            [
                ".env line 4: ISOBAR_PAGE_LIMIT replaces the value of line 3",
                ".env line 1: ISOBAR_BATCHSIZE is unknown and has no effect: do you mean ISOBAR_BATCH_SIZE?",
            ]
        );
        let mut errors = Vec::new();
        assert_eq!(environment.parse::<u32>("ISOBAR_PAGE_LIMIT", None, &mut errors), None);
        assert!(errors[0].starts_with(".env line 4: ISOBAR_PAGE_LIMIT: "), "{errors:?}");
        assert!(
            environment.parse::<crate::values::RedisUrl>("REDIS_URL", None, &mut errors).is_none()
        );
        assert!(errors[1].starts_with(".env line 5: REDIS_URL: "), "{errors:?}");
        assert!(!errors[1].contains("s3cret"), "{errors:?}");
        // A variable of the process replaces the line.
        let environment = environment.with("ISOBAR_PAGE_LIMIT", "some");
        let mut errors = Vec::new();
        assert_eq!(environment.parse::<u32>("ISOBAR_PAGE_LIMIT", None, &mut errors), None);
        assert!(errors[0].starts_with("ISOBAR_PAGE_LIMIT: "), "{errors:?}");
    }
}
