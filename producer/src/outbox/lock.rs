//! One producer per outbox: an operating-system lock on a file beside it.
//!
//! The lock ends with the process, however it ends, so nothing is ever left locked. The file says
//! who holds it, for the message that the second one prints; the lock itself is what counts.
//! SQLite's own locks would not do: they are held for a transaction, this one for a run.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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
    /// Takes the lock of the outbox at `outbox` or says who has it; never waits.
    pub fn take(outbox: &Path) -> Result<Self, LockError> {
        let path = lock_path(outbox);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file).map_err(failed)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whoever wrote it may be writing still; a name is only for people.
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
    // Only the command's name: its arguments may hold secrets.
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
    fn the_second_is_told_who_holds_it_and_the_next_gets_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = folder.path().join("outbox.db");
        let first = OutboxLock::take(&outbox).expect("free");
        let told = OutboxLock::take(&outbox).expect_err("held").to_string();
        assert!(told.contains(&format!("pid {}", std::process::id())), "{told}");
        drop(first);
        OutboxLock::take(&outbox).expect("free again");
    }
}
