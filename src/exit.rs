//! What a process says when it ends: exit codes, decided in one place.
//!
//! 0 done · 1 failed · 2 usage · 3 done, but some rows failed · 75 try again later, nothing lost
//! · 78 bad configuration. Commands return an [`Exit`]; errors that escape them are classed here
//! by their type, never by their text. A reader that closes the pipe is success.

use std::io::{self, Write};
use std::process::ExitCode;

use isobar_broker::BrokerError;
use isobar_settings::ConfigError;
use isobar_sqlite::SqliteError;
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

/// Says what went wrong, if anything did, and gives the process' exit code.
pub fn report(outcome: anyhow::Result<Exit>) -> ExitCode {
    let exit = outcome.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return Exit::Done;
        }
        // Nobody reads this if stderr is gone, and there is nowhere else to say it.
        let _ = writeln!(io::stderr(), "isobar: {error:#}");
        class(&error)
    });
    ExitCode::from(exit.code())
}

/// A failure with the exit code it means.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    pub exit: Exit,
    pub message: String,
}

impl Stop {
    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Usage, message: message.into() }.into()
    }

    pub fn config(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::BadConfig, message: message.into() }.into()
    }
}

fn class(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return stop.exit;
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
            return match error {
                error if error.is_transient() => Exit::TryAgain,
                SqliteError::Open { .. } | SqliteError::NewerSchema { .. } => Exit::BadConfig,
                _ => Exit::Failed,
            };
        }
    }
    Exit::Failed
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
