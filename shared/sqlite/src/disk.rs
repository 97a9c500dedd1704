//! A full disk: recognised in an error, or seen before a write fails.
//!
//! Guarantees: an error counts by its cause, whatever wraps it. A full disk is a temporary state:
//! nothing that was committed is lost, and the same call succeeds once there is room.

use std::error::Error;
use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

/// With less than this, the next transaction of a file may fail.
const LEAST_FREE_BYTES: u64 = 256 * 1024;

/// Whether the cause is a disk without room.
pub fn is_full(error: &(dyn Error + 'static)) -> bool {
    let of_file = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let of_sqlite =
        error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(of_file, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        || of_sqlite == Some(ErrorCode::DiskFull)
        || error.source().is_some_and(is_full)
}

/// Whether a file in this folder can hardly grow. False if the system does not say.
pub fn has_no_room(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_FREE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteError;

    #[test]
    fn the_cause_of_an_error_decides() {
        let sqlite = |code| SqliteError::Open {
            path: "a.db".into(),
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
        };
        assert!(is_full(&sqlite(rusqlite::ffi::SQLITE_FULL)));
        assert!(!is_full(&sqlite(rusqlite::ffi::SQLITE_CANTOPEN)));
        assert!(is_full(&io::Error::from_raw_os_error(28)));
        assert!(!is_full(&io::Error::from_raw_os_error(13)));
    }

    #[test]
    fn a_folder_with_room_has_room() {
        assert!(!has_no_room(&std::env::temp_dir()));
        assert!(!has_no_room(Path::new("/no/such/folder")));
    }
}
