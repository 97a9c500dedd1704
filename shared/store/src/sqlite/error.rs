//! Errors of SQLite: the class of each code, decided here once.
//!
//! A caller can wait, bisect the data, or ask a person. Conflicts cannot occur: one writer at a time
//! holds the lock, from the start of its transaction.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::StoreError;
use isobar_sqlite::SqliteError;

pub(super) fn classify(error: SqliteError) -> StoreError {
    let (path, class) = match &error {
        SqliteError::NewerSchema { path, found, known } => {
            return StoreError::NewerSchema {
                location: location(path),
                found: *found,
                known: *known,
            };
        }
        SqliteError::Busy { path } => (path, SqliteErrorClass::Unavailable),
        SqliteError::Closed { path } => (path, SqliteErrorClass::Unexpected),
        SqliteError::Open { path, source } | SqliteError::Statement { path, source } => {
            (path, class_of(source))
        }
    };
    let location = location(path);
    let source = anyhow::Error::new(error);
    match class {
        SqliteErrorClass::Unavailable => StoreError::Unavailable { location, source },
        SqliteErrorClass::Data => StoreError::Data { source },
        SqliteErrorClass::Refused => StoreError::Refused { location, source },
        SqliteErrorClass::Unexpected => StoreError::Unexpected { location, source },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SqliteErrorClass {
    Unavailable,
    Data,
    Refused,
    Unexpected,
}

fn class_of(error: &rusqlite::Error) -> SqliteErrorClass {
    // A text that SQLite would store and PostgreSQL would not.
    if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) {
        return SqliteErrorClass::Data;
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly,
        ) => SqliteErrorClass::Unavailable,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            SqliteErrorClass::Data
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt,
        ) => SqliteErrorClass::Refused,
        _ => SqliteErrorClass::Unexpected,
    }
}

/// Where a file is, as a URL.
pub(super) fn location(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_class() {
        use rusqlite::ffi;
        for (code, expected) in [
            (ffi::SQLITE_BUSY, SqliteErrorClass::Unavailable),
            (ffi::SQLITE_IOERR, SqliteErrorClass::Unavailable),
            (ffi::SQLITE_FULL, SqliteErrorClass::Unavailable),
            (ffi::SQLITE_READONLY, SqliteErrorClass::Unavailable),
            (ffi::SQLITE_CONSTRAINT, SqliteErrorClass::Data),
            (ffi::SQLITE_TOOBIG, SqliteErrorClass::Data),
            (ffi::SQLITE_MISMATCH, SqliteErrorClass::Data),
            (ffi::SQLITE_CANTOPEN, SqliteErrorClass::Refused),
            (ffi::SQLITE_NOTADB, SqliteErrorClass::Refused),
            (ffi::SQLITE_ERROR, SqliteErrorClass::Unexpected),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(class_of(&error), expected, "{code}");
        }
        assert_eq!(class_of(&rusqlite::Error::QueryReturnedNoRows), SqliteErrorClass::Unexpected);
    }
}
