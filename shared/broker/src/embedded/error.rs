//! SQLite errors of the broker's file, classified by what a caller can do about them.

use std::path::Path;

use isobar_sqlite::SqliteError;
use rusqlite::ErrorCode;

use crate::error::BrokerError;

pub(super) fn into_broker_error(path: &Path, error: SqliteError) -> BrokerError {
    let location = path.display().to_string();
    let code = match &error {
        SqliteError::Open { source, .. } | SqliteError::Statement { source, .. } => {
            source.sqlite_error_code()
        }
        _ => None,
    };
    match (&error, code) {
        (SqliteError::NewerSchema { .. }, _)
        | (
            _,
            Some(
                ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen,
            ),
        ) => BrokerError::Refused { location, detail: format!("{:#}", anyhow::Error::new(error)) },
        (_, Some(ErrorCode::DiskFull)) => BrokerError::NoRoom { location, source: error.into() },
        (SqliteError::Busy { .. } | SqliteError::Closed { .. }, _)
        | (
            _,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ),
        ) => BrokerError::Unavailable {
            broker: "the embedded broker",
            location,
            source: error.into(),
        },
        _ => BrokerError::Unexpected { location, source: error.into() },
    }
}
