//! Failures: why a run ended early, and what to do about it.
//!
//! Guarantees: each error of source, outbox and relay has one remedy, decided here. The binary
//! turns it into an exit code, the scheduler into the outcome of a tick.

use isobar_sqlite::{SqliteError, disk};
use isobar_store::StoreError;
use isobar_telemetry::error_chain;

use crate::outbox::{LockError, OpenError};
use crate::relay::RelayEnd;
use crate::report::RunReport;
use crate::source::SourceError;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing is lost; run again later (exit code 75).
    TryAgain,
    /// Running again does not help (exit code 1).
    GiveUp,
    /// A person must correct the configuration (exit code 78).
    Configure,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub remedy: Remedy,
    pub message: String,
    /// How far the run got, if it started.
    pub report: Option<Box<RunReport>>,
}

impl Failure {
    pub fn new(remedy: Remedy, message: impl Into<String>) -> Self {
        Self { remedy, message: message.into(), report: None }
    }

    #[must_use]
    pub fn with(mut self, report: RunReport) -> Self {
        self.report = Some(Box::new(report));
        self
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let remedy = match &error {
            SourceError::Away { .. } | SourceError::BreakerOpen { .. } | SourceError::Stopped => {
                Remedy::TryAgain
            }
            error @ (SourceError::Unreadable { .. } | SourceError::Unwritable { .. })
                if disk::is_full(error) =>
            {
                Remedy::TryAgain
            }
            SourceError::Refused { .. } => Remedy::Configure,
            SourceError::Changed { .. }
            | SourceError::Unreadable { .. }
            | SourceError::Unwritable { .. }
            | SourceError::Taken
            | SourceError::Unusable { .. } => Remedy::GiveUp,
            SourceError::Store(store) => return Self::from_store(store, error_chain(&error)),
            SourceError::Outbox(error) => of_sqlite(error),
        };
        Self::new(remedy, error_chain(&error))
    }
}

impl Failure {
    /// The store cannot be read for a republication.
    fn from_store(error: &StoreError, message: String) -> Self {
        if error.is_transient() {
            let safe = "frozen tasks are safe in the outbox, the others in the store; run again";
            Self::new(Remedy::TryAgain, format!("{message}; {safe}"))
        } else {
            Self::new(Remedy::GiveUp, message)
        }
    }

    pub fn of_relay(end: &RelayEnd) -> Self {
        let remedy = match end {
            RelayEnd::Unreachable(_) | RelayEnd::Full { .. } | RelayEnd::NoRoom(_) => {
                Remedy::TryAgain
            }
            RelayEnd::Refused(_) => Remedy::Configure,
            RelayEnd::Broken(_) => Remedy::GiveUp,
        };
        let message = match end {
            // The address is enough; the error of the socket adds nothing.
            RelayEnd::Unreachable(error) => error.to_string(),
            end => error_chain(end),
        };
        Self::new(remedy, message)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let remedy = match &error {
            LockError::Held { .. } => Remedy::TryAgain,
            error if disk::is_full(error) => Remedy::TryAgain,
            LockError::Io { .. } => Remedy::Configure,
        };
        Self::new(remedy, error_chain(&error))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let remedy = match &error {
            error if disk::is_full(error) => Remedy::TryAgain,
            OpenError::Db(error) => of_sqlite(error),
            OpenError::Folder { .. } => Remedy::Configure,
        };
        Self::new(remedy, error_chain(&error))
    }
}

impl From<SqliteError> for Failure {
    fn from(error: SqliteError) -> Self {
        Self::new(of_sqlite(&error), error_chain(&error))
    }
}

fn of_sqlite(error: &SqliteError) -> Remedy {
    match error {
        error if error.is_transient() => Remedy::TryAgain,
        SqliteError::Open { .. } | SqliteError::NewerSchema { .. } => Remedy::Configure,
        SqliteError::Busy { .. } | SqliteError::Statement { .. } | SqliteError::Closed { .. } => {
            Remedy::GiveUp
        }
    }
}
