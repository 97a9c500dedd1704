//! Exit codes: what a process reports when it ends, decided in one place.
//!
//! 0 done · 1 failed · 2 usage · 3 done, but some rows failed · 75 try again later, nothing lost
//! · 78 bad configuration. Commands return an [`Exit`]; other errors are classified here by
//! their type, never by their text. A reader that closes the pipe counts as success.

use std::io::{self, Write};
use std::process::ExitCode;

use isobar_broker::BrokerError;
use isobar_settings::ConfigError;
use isobar_sqlite::SqliteError;
use isobar_sqlite::backup::BackupError;
use isobar_sqlite::disk;
use isobar_store::StoreError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    SomeFailed,
    TryAgain,
    BadConfig,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::TryAgain => 75,
            Self::BadConfig => 78,
        }
    }
}

/// Prints the error, if there is one, and returns the exit code of the process.
pub fn report(outcome: anyhow::Result<Exit>) -> ExitCode {
    let exit = outcome.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return Exit::Done;
        }
        // If stderr is closed, there is no other place to report the error.
        let _ = writeln!(io::stderr(), "isobar: {error:#}");
        classify(&error)
    });
    ExitCode::from(exit.code())
}

/// An error with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExitError {
    pub exit: Exit,
    pub message: String,
}

impl ExitError {
    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Usage, message: message.into() }.into()
    }

    pub fn config(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::BadConfig, message: message.into() }.into()
    }
}

fn classify(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<ExitError>() {
            return stop.exit;
        }
        // Whatever wraps it: nothing is lost, and it works again once there is room.
        if disk::is_full(cause) {
            return Exit::TryAgain;
        }
        if cause.is::<ConfigError>() {
            return Exit::BadConfig;
        }
        if let Some(error) = cause.downcast_ref::<BrokerError>() {
            return match error {
                BrokerError::Refused { .. } => Exit::BadConfig,
                error if error.is_transient() => Exit::TryAgain,
                _ => Exit::Failed,
            };
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return match error {
                StoreError::NewerSchema { .. } | StoreError::Refused { .. } => Exit::BadConfig,
                error if error.is_transient() => Exit::TryAgain,
                _ => Exit::Failed,
            };
        }
        if let Some(error) = cause.downcast_ref::<SqliteError>() {
            return of_sqlite(error);
        }
        if let Some(error) = cause.downcast_ref::<BackupError>() {
            return of_backup(error);
        }
    }
    Exit::Failed
}

fn of_sqlite(error: &SqliteError) -> Exit {
    match error {
        error if error.is_transient() => Exit::TryAgain,
        SqliteError::Open { .. } | SqliteError::NewerSchema { .. } => Exit::BadConfig,
        _ => Exit::Failed,
    }
}

fn of_backup(error: &BackupError) -> Exit {
    match error {
        // A person must name another file, or make the folder.
        BackupError::NoSource { .. }
        | BackupError::NoSchema { .. }
        | BackupError::Exists { .. }
        | BackupError::NoFolder { .. } => Exit::BadConfig,
        BackupError::Full { .. } | BackupError::Stopped => Exit::TryAgain,
        BackupError::Source(error) => of_sqlite(error),
        BackupError::Write { .. } | BackupError::Check { .. } => Exit::Failed,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
