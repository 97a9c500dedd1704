//! Backup: copies a SQLite file that is in use to a new file, and checks the copy.
//!
//! Guarantees: the copy is the state of one moment, whatever other processes write during the copy.
//! It has passed `integrity_check`; its schema version and the rows of each table are those of that
//! moment. Only then, private and on the disk, it gets its name; after an error no file is left. An
//! existing file is never replaced. The content and the schema of the source stay as they are.
//! Does not: use `VACUUM INTO`. That statement cannot run in a transaction, so nothing else can be
//! read at its moment, and there would be no row counts to compare the copy with.
//!
//! Like any long read, a copy keeps SQLite from reusing the WAL of the source while it runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::{BUSY_TIMEOUT, SqliteError, private};

/// Pages per step; between two steps the caller may stop the copy.
const STEP_PAGES: i32 = 2_000;
/// What SQLite may create beside a file.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("no store was found at {}", path.display())]
    NoSource { path: PathBuf },
    #[error("{} has no schema: it is not a store of isobar", path.display())]
    NoSchema { path: PathBuf },
    #[error("{} exists and is not replaced; remove it, or choose another name", path.display())]
    Exists { path: PathBuf },
    #[error("the folder {} does not exist", path.display())]
    NoFolder { path: PathBuf },
    #[error("the disk has no room for the backup {}; nothing of it is left there", path.display())]
    Full { path: PathBuf },
    #[error("cannot write the backup {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: anyhow::Error,
    },
    #[error("the copy of {} failed its check, so it was removed: {detail}", path.display())]
    Check { path: PathBuf, detail: String },
    #[error("stopped before the copy was complete; nothing of it is left")]
    Stopped,
    #[error(transparent)]
    Source(#[from] SqliteError),
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    pub bytes: u64,
    /// The number of migrations that the store has.
    pub schema: u32,
    pub rows: BTreeMap<String, u64>,
}

/// What source and copy must have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    schema: u32,
    rows: BTreeMap<String, u64>,
}

/// Copies the file `source` to the new file `target`. After each step `goes_on` gets the pages that
/// are done and their number; the copy stops where it returns false. Blocks for as long as it takes.
pub fn back_up(
    source: &Path,
    target: &Path,
    goes_on: impl FnMut(u64, u64) -> bool,
) -> Result<BackupReport, BackupError> {
    if !source.exists() {
        return Err(BackupError::NoSource { path: source.to_owned() });
    }
    check_free(target)?;
    let cannot_read = |error| SqliteError::Open { path: source.to_owned(), source: error };
    // Without the flag that creates a file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut from = Connection::open_with_flags(source, flags).map_err(cannot_read)?;
    from.busy_timeout(BUSY_TIMEOUT).map_err(cannot_read)?;
    // The first read decides the moment; the transaction keeps it until the copy is complete.
    let moment = from.transaction().map_err(cannot_read)?;
    let expected = Contents::of(&moment).map_err(cannot_read)?;
    if expected.schema == 0 {
        return Err(BackupError::NoSchema { path: source.to_owned() });
    }
    let partial = PartialFile::create(target)?;
    let copied = copy(&moment, &partial.path, goes_on)
        .and_then(|is_whole| if is_whole { examine(&partial.path).map(Some) } else { Ok(None) });
    let Some((problems, found)) = copied.map_err(|error| cannot_write(target, error))? else {
        return Err(BackupError::Stopped);
    };
    let check = |detail: String| BackupError::Check { path: source.to_owned(), detail };
    if problems != "ok" {
        return Err(check(problems));
    }
    if found != expected {
        return Err(check(format!("it has {found:?}, the store {expected:?}")));
    }
    let bytes = partial.publish(target)?;
    Ok(BackupReport { bytes, schema: found.schema, rows: found.rows })
}

fn check_free(target: &Path) -> Result<(), BackupError> {
    // A link that leads nowhere is something there, too.
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: target.to_owned() });
    }
    let folder = folder_of(target);
    if !folder.is_dir() {
        return Err(BackupError::NoFolder { path: folder.to_owned() });
    }
    Ok(())
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// False if it was stopped.
fn copy(
    from: &Connection,
    path: &Path,
    mut goes_on: impl FnMut(u64, u64) -> bool,
) -> rusqlite::Result<bool> {
    let mut to = Connection::open(path)?;
    // The file is worth nothing before its end, and is flushed then.
    to.pragma_update(None, "synchronous", "OFF")?;
    {
        let backup = Backup::new(from, &mut to)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let progress = backup.progress();
            let pages = progress.pagecount.unsigned_abs();
            let done = pages.saturating_sub(progress.remaining.unsigned_abs());
            match step {
                StepResult::Done => break,
                _ if !goes_on(done.into(), pages.into()) => return Ok(false),
                _ => {}
            }
        }
    }
    // The copy says of itself that it has a WAL, as the source has. One file alone has none.
    to.pragma_update(None, "journal_mode", "DELETE")?;
    to.close().map_err(|(_, error)| error)?;
    Ok(true)
}

/// The answer of `integrity_check`, and what the file holds.
fn examine(path: &Path) -> rusqlite::Result<(String, Contents)> {
    let copy = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let problems = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    Ok((problems, Contents::of(&copy)?))
}

impl Contents {
    fn of(db: &Connection) -> rusqlite::Result<Self> {
        let schema = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut statement = db.prepare(sql)?;
        let tables: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut rows = BTreeMap::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
            let count: i64 = db.query_row(&sql, [], |row| row.get(0))?;
            rows.insert(table, count.unsigned_abs());
        }
        Ok(Self { schema, rows })
    }
}

fn cannot_write(target: &Path, error: rusqlite::Error) -> BackupError {
    let path = target.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackupError::Full { path },
        _ => BackupError::Write { path, source: error.into() },
    }
}

/// The copy under its temporary name; removed unless it is published.
struct PartialFile {
    path: PathBuf,
}

impl PartialFile {
    fn create(target: &Path) -> Result<Self, BackupError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let path = folder_of(target).join(name);
        private::create_file(&path).map_err(|error| file_error(target, error))?;
        Ok(Self { path })
    }

    /// Flushes the copy and gives it its name. Returns its size.
    fn publish(self, target: &Path) -> Result<u64, BackupError> {
        let publish = || {
            let file = File::open(&self.path)?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            rename_to_free(&self.path, target)?;
            File::open(folder_of(target))?.sync_all()?;
            Ok(bytes)
        };
        publish().map_err(|error| file_error(target, error))
    }
}

/// Renames, and fails if the new name is taken by now.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Network file systems cannot do both in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        for companion in COMPANIONS {
            let mut name = self.path.clone().into_os_string();
            name.push(companion);
            let _ = fs::remove_file(name);
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn file_error(target: &Path, error: io::Error) -> BackupError {
    let path = target.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::Full { path },
        io::ErrorKind::AlreadyExists => BackupError::Exists { path },
        _ => BackupError::Write { path, source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Db, Durability};

    const SCHEMA: &[&str] =
        &["CREATE TABLE a (n INTEGER) STRICT; CREATE TABLE b (n INTEGER, text TEXT) STRICT"];

    fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, target) = (folder.path().join("s.db"), folder.path().join("t.db"));
        (folder, source, target)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one"));
        let mut names: Vec<_> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Both tables always have the same number of rows: each write adds to both.
    async fn add(db: &Db) {
        let text = "x".repeat(3_000);
        db.write(move |tx| {
            tx.execute("INSERT INTO a VALUES (1)", [])?;
            tx.execute("INSERT INTO b VALUES (1, ?1)", [text])
        })
        .await
        .expect("writes");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_copy_is_one_moment_while_others_write() {
        let (_folder, source, target) = folder();
        let db = Db::open(&source, Durability::Normal, SCHEMA).expect("opens");
        for _ in 0..3_000 {
            add(&db).await;
        }
        // Another handle commits between two steps.
        let (runtime, writer, mut steps) = (tokio::runtime::Handle::current(), db.clone(), 0);
        let (from, to) = (source.clone(), target.clone());
        let report = tokio::task::spawn_blocking(move || {
            back_up(&from, &to, |done, pages| {
                assert!(done <= pages, "{done} of {pages}");
                steps += 1;
                runtime.block_on(add(&writer));
                true
            })
            .map(|report| (report, steps))
        });
        let (report, steps) = report.await.expect("ends").expect("a backup");
        assert!(steps > 0, "it takes several steps");
        assert_eq!(report.schema, 1);
        assert_eq!(report.rows, BTreeMap::from([("a".into(), 3_000), ("b".into(), 3_000)]));
        assert_eq!(report.bytes, target.metadata().expect("there").len());
        assert_eq!(target.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        // The copy is as good a file as the other.
        let copy = Db::open(&target, Durability::Normal, SCHEMA).expect("opens");
        add(&copy).await;
    }

    #[tokio::test]
    async fn a_copy_that_is_stopped_leaves_nothing() {
        let (folder, source, target) = folder();
        let db = Db::open(&source, Durability::Normal, SCHEMA).expect("opens");
        for _ in 0..3_000 {
            add(&db).await;
        }
        drop(db);
        let stopped = back_up(&source, &target, |_, _| false);
        assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
        assert_eq!(names(folder.path()), ["s.db"]);
    }

    #[test]
    fn what_cannot_be_copied_is_refused_and_nothing_is_created() {
        let (folder, source, target) = folder();
        let copy = |source: &Path, target: &Path| back_up(source, target, |_, _| true);
        let refused = copy(&source, &target);
        assert!(matches!(refused, Err(BackupError::NoSource { .. })), "{refused:?}");
        assert_eq!(names(folder.path()), Vec::<String>::new());
        fs::write(&source, b"").expect("writes");
        let refused = copy(&source, &target);
        assert!(matches!(refused, Err(BackupError::NoSchema { .. })), "{refused:?}");
        let refused = copy(&source, &source);
        assert!(matches!(refused, Err(BackupError::Exists { .. })), "{refused:?}");
        let refused = copy(&source, &folder.path().join("none/t.db"));
        assert!(matches!(refused, Err(BackupError::NoFolder { .. })), "{refused:?}");
        assert_eq!(names(folder.path()), ["s.db"]);
        assert_eq!(fs::read(&source).expect("reads"), b"", "it is as it was");
    }

    #[test]
    fn a_damaged_file_makes_no_backup() {
        let (folder, source, target) = folder();
        drop(Db::open(&source, Durability::Normal, SCHEMA).expect("opens"));
        let db = Connection::open(&source).expect("opens");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
             INSERT INTO b SELECT i, hex(randomblob(40)) FROM n; CREATE INDEX at ON b (text)";
        db.execute_batch(rows).expect("writes");
        // An index that misses a row: the counts are right, and answers are wrong.
        db.execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE INDEX at ON b (text DESC)' WHERE name = 'at'",
        )
        .expect("damages");
        drop(db);
        let refused = back_up(&source, &target, |_, _| true);
        assert!(matches!(refused, Err(BackupError::Check { .. })), "{refused:?}");
        assert_eq!(names(folder.path()), ["s.db"]);
    }

    #[test]
    fn a_name_that_is_taken_during_the_copy_is_not_replaced() {
        let (folder, source, target) = folder();
        fs::write(&source, b"new").expect("writes");
        fs::write(&target, b"old").expect("writes");
        let taken = rename_to_free(&source, &target).expect_err("it is taken");
        assert!(matches!(file_error(&target, taken), BackupError::Exists { .. }));
        assert_eq!(fs::read(&target).expect("reads"), b"old");
        assert_eq!(names(folder.path()), ["s.db", "t.db"]);
    }
}
