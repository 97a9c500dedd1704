//! SQLite errors of the broker's file, classified by what a caller can do about them.

use std::path::Path;

use isobar_sqlite::SqliteError;
use rusqlite::ErrorCode;

use crate::error::BrokerError;

const NEEDS_A_PERSON: &[ErrorCode] = &[
    ErrorCode::NotADatabase,
    ErrorCode::DatabaseCorrupt,
    ErrorCode::PermissionDenied,
    ErrorCode::ReadOnly,
    ErrorCode::CannotOpen,
];
const TRANSIENT: &[ErrorCode] = &[
    ErrorCode::SystemIoFailure,
    ErrorCode::DatabaseBusy,
    ErrorCode::DatabaseLocked,
    ErrorCode::OutOfMemory,
];

pub(super) fn into_broker_error(path: &Path, error: SqliteError) -> BrokerError {
    let location = path.display().to_string();
    let code = match &error {
        SqliteError::Open { source, .. } | SqliteError::Statement { source, .. } => {
            source.sqlite_error_code()
        }
        _ => None,
    };
    let is_any_of = |codes: &[ErrorCode]| code.is_some_and(|code| codes.contains(&code));
    if matches!(error, SqliteError::NewerSchema { .. }) || is_any_of(NEEDS_A_PERSON) {
        BrokerError::Refused { location, detail: format!("{:#}", anyhow::Error::new(error)) }
    } else if is_any_of(&[ErrorCode::DiskFull]) {
        BrokerError::NoRoom { location, source: error.into() }
    } else if matches!(error, SqliteError::Busy { .. } | SqliteError::Closed { .. })
        || is_any_of(TRANSIENT)
    {
        let broker = "the embedded broker";
        BrokerError::Unavailable { broker, location, source: error.into() }
    } else {
        BrokerError::Unexpected { location, source: error.into() }
    }
}
