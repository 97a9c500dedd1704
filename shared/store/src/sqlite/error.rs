//! What SQLite's refusals mean to a caller, decided here once.
//!
//! As with PostgreSQL: waiting may mend it, bisecting the data may, or only a person can. There is
//! no conflict: one writer at a time holds the lock from the start of its transaction.

use rusqlite::ErrorCode;

use crate::StoreError;
use isobar_sqlite::SqliteError;

pub(super) fn classify(error: SqliteError) -> StoreError {
    let (location, meaning) = match &error {
        SqliteError::NewerSchema { path, found, known } => {
            return StoreError::NewerSchema {
                location: super::location(path),
                found: *found,
                known: *known,
            };
        }
        SqliteError::Busy { path } => (path, Meaning::Unavailable),
        SqliteError::Closed { path } => (path, Meaning::Unexpected),
        SqliteError::Open { path, source } | SqliteError::Statement { path, source } => {
            (path, meaning(source))
        }
    };
    let location = super::location(location);
    let source = anyhow::Error::new(error);
    match meaning {
        Meaning::Unavailable => StoreError::Unavailable { location, source },
        Meaning::Data => StoreError::Data { source },
        Meaning::Refused => StoreError::Refused { location, source },
        Meaning::Unexpected => StoreError::Unexpected { location, source },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Unavailable,
    Data,
    Refused,
    Unexpected,
}

fn meaning(error: &rusqlite::Error) -> Meaning {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly,
        ) => Meaning::Unavailable,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            Meaning::Data
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt,
        ) => Meaning::Refused,
        _ => Meaning::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_meaning() {
        use rusqlite::ffi;
        for (code, expected) in [
            (ffi::SQLITE_BUSY, Meaning::Unavailable),
            (ffi::SQLITE_IOERR, Meaning::Unavailable),
            (ffi::SQLITE_FULL, Meaning::Unavailable),
            (ffi::SQLITE_READONLY, Meaning::Unavailable),
            (ffi::SQLITE_CONSTRAINT, Meaning::Data),
            (ffi::SQLITE_TOOBIG, Meaning::Data),
            (ffi::SQLITE_MISMATCH, Meaning::Data),
            (ffi::SQLITE_CANTOPEN, Meaning::Refused),
            (ffi::SQLITE_NOTADB, Meaning::Refused),
            (ffi::SQLITE_ERROR, Meaning::Unexpected),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(meaning(&error), expected, "{code}");
        }
        assert_eq!(meaning(&rusqlite::Error::QueryReturnedNoRows), Meaning::Unexpected);
    }
}
