//! The lock of an outbox: one producer at a time, by an operating-system lock on a file beside it.
//!
//! Guarantees: the lock ends with the process, however it ends. The file names the holder, for the
//! message that a second process prints; only the lock itself counts. SQLite's own locks do not
//! serve here: they last for a transaction, this one lasts for a run.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use isobar_sqlite::private;

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct OutboxLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the outbox {} is in use by {holder}; nothing is lost, try again when it has ended", path.display())]
    Held { path: PathBuf, holder: String },
    #[error("cannot lock {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl OutboxLock {
    /// Takes the lock of the outbox at `outbox`, or reports its holder; never waits.
    pub fn take(outbox: &Path) -> Result<Self, LockError> {
        let path = lock_path(outbox);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = private::open_or_create_file(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file).map_err(failed)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder may still be writing its name, which is only for people.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".to_owned(),
                    named => named.to_owned(),
                };
                Err(LockError::Held { path: outbox.to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn lock_path(outbox: &Path) -> PathBuf {
    let mut path = outbox.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn sign(file: &mut File) -> io::Result<()> {
    // Only the name of the command: its arguments may contain secrets.
    let command = std::env::args().nth(1).unwrap_or_default();
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "isobar {command} (pid {}, since {now})", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_holder_of_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = folder.path().join("outbox.db");
        let first = OutboxLock::take(&outbox).expect("free");
        let refused = OutboxLock::take(&outbox).expect_err("held").to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        OutboxLock::take(&outbox).expect("free again");
    }
}
