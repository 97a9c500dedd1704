//! SQLite: the one way to a file, for the outbox, the embedded broker and the embedded store.
//!
//! Guarantees: one writer connection on its own thread; every write is one `BEGIN IMMEDIATE`
//! transaction that is committed before [`Db::write`] returns. Readers have connections of their
//! own and never wait for the writer (WAL). Other processes may have the same file open. Migrations
//! run under the write lock; a file of a newer version is refused. A new file is [`private`]. When
//! the last clone of a [`Db`] is dropped, its WAL is written back; once no other process has the file
//! open, the file alone is complete.
//!
//! Keep transactions short (≤ 50 ms): other processes wait for them. The closure is synchronous, so
//! it cannot wait for the network.
//! Does not: retry, or contain SQL.

pub mod backup;
pub mod disk;
pub mod private;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, ffi};
use tokio::sync::{mpsc, oneshot};

/// How long a write waits for another process before [`SqliteError::Busy`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Writes that may wait for the writer thread; further callers wait for room.
const WRITE_QUEUE: usize = 64;
/// Idle readers kept; more may exist for a moment.
const IDLE_READERS: usize = 4;
const STATEMENT_CACHE: usize = 64;
/// Page caches. Readers are several, and the operating system caches pages for them too.
const WRITER_CACHE_KIB: i32 = 16_000;
const READER_CACHE_KIB: i32 = 4_000;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives power loss.
    Full,
    /// Survives the process. Power loss may undo the last commits; it never corrupts the file.
    Normal,
}

#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{} was written by a newer isobar (schema {found}, this one knows {known})", path.display())]
    NewerSchema { path: PathBuf, found: u32, known: u32 },
    #[error("another process has kept {} locked for {BUSY_TIMEOUT:?}", path.display())]
    Busy { path: PathBuf },
    #[error("cannot use {}", path.display())]
    Statement {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the writer of {} has ended", path.display())]
    Closed { path: PathBuf },
}

impl SqliteError {
    /// Whether a retry may succeed: a lock, a full disk, a file system that is read-only for now.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Open { source, .. } | Self::Statement { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly)
            ),
            Self::NewerSchema { .. } | Self::Closed { .. } => false,
        }
    }
}

/// A SQLite file. Cheap to clone; the file closes with the last clone.
#[derive(Clone, Debug)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` only while it is dropped.
    writer: Option<mpsc::Sender<Work>>,
    writer_thread: Option<JoinHandle<()>>,
    idle_readers: Mutex<Vec<Connection>>,
}

impl Drop for Inner {
    /// Waits for the writer to close. Else a process could end before it, and leave the WAL behind.
    fn drop(&mut self) {
        // Readers first: only a connection that may write can write the WAL back.
        self.idle_readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.writer = None;
        let thread = self.writer_thread.take();
        if let Some(writer) = thread.filter(|writer| writer.thread().id() != thread::current().id())
        {
            // An error is a panic of some work, which its caller has seen.
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Db").field(&self.path).finish()
    }
}

impl Db {
    /// Opens or creates the file and applies the missing `migrations`, in order; their number is in
    /// `PRAGMA user_version`. Blocks briefly: call it at start.
    pub fn open(
        path: &Path,
        durability: Durability,
        migrations: &[&str],
    ) -> Result<Self, SqliteError> {
        let opened = |source| SqliteError::Open { path: path.to_owned(), source };
        // SQLite would create the file with the mode that the umask leaves. If this fails, the file
        // exists, or SQLite fails too, and its error has the reason. An empty file is a new database.
        let _ = private::create_file(path);
        let mut connection = Connection::open(path).map_err(opened)?;
        refuse_read_only(&connection).map_err(opened)?;
        prepare(&connection, WRITER_CACHE_KIB).map_err(opened)?;
        let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
        use_wal(&connection)
            .and_then(|()| connection.pragma_update(None, "synchronous", synchronous))
            .map_err(opened)?;
        migrate(&mut connection, path, migrations)?;

        let (writer, mut queue) = mpsc::channel::<Work>(WRITE_QUEUE);
        let writer_thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                while let Some(work) = queue.blocking_recv() {
                    work(&mut connection);
                }
                close(connection);
            })
            .expect("the operating system creates a thread");
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: Some(writer),
                writer_thread: Some(writer_thread),
                idle_readers: Mutex::default(),
            }),
        })
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` in one write transaction on the writer thread. After `Ok` it is committed; after
    /// an error of `work` nothing of it is. If the caller drops the future, it still runs whole.
    pub async fn write<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run: Work = Box::new(move |connection| {
            let result = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .and_then(|tx| {
                    let value = work(&tx)?;
                    tx.commit()?;
                    Ok(value)
                });
            // A caller that dropped its future needs no answer; the work is done.
            let _ = reply.send(result);
        });
        let writer = self.inner.writer.as_ref().ok_or_else(|| self.closed())?;
        writer.send(run).await.map_err(|_| self.closed())?;
        answer.await.map_err(|_| self.closed())?.map_err(|error| self.failed(error))
    }

    /// Runs `work` on a reader.
    pub async fn read<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let db = self.clone();
        tokio::task::spawn_blocking(move || {
            let reader = db.reader()?;
            let result = work(&reader).map_err(|error| db.failed(error));
            let mut idle = db.inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(reader);
            }
            result
        })
        .await
        .unwrap_or_else(|_| Err(self.closed()))
    }

    fn reader(&self) -> Result<Connection, SqliteError> {
        let idle = self.inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(reader) = idle {
            return Ok(reader);
        }
        let opened = |source| SqliteError::Open { path: self.inner.path.clone(), source };
        let reader =
            Connection::open_with_flags(&self.inner.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
                .map_err(opened)?;
        prepare(&reader, READER_CACHE_KIB).map_err(opened)?;
        Ok(reader)
    }

    fn closed(&self) -> SqliteError {
        SqliteError::Closed { path: self.inner.path.clone() }
    }

    fn failed(&self, source: rusqlite::Error) -> SqliteError {
        let path = self.inner.path.clone();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                SqliteError::Busy { path }
            }
            _ => SqliteError::Statement { path, source },
        }
    }
}

/// SQLite opens a file that it may only read, and that connection can never write, even when the
/// file becomes writable. An error makes the caller open it again later.
fn refuse_read_only(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_readonly("main")? {
        let code = ffi::Error::new(ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(code, Some("the file is read-only".to_owned())));
    }
    Ok(())
}

fn prepare(connection: &Connection, cache_kib: i32) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -cache_kib)
}

/// WAL is a property of the file: the writer sets it once, before the first read.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            // Two processes create the file at once. This statement does not wait for the other
            // process; a transaction does.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            ended => return ended,
        }
    }
}

/// Writes the WAL back into the file. SQLite does so when the last connection closes, but not if two
/// processes close at the same moment: each then takes the other for the last one.
fn close(connection: Connection) {
    // A process that is at work now does the same when it closes.
    let _ = connection.busy_timeout(Duration::ZERO);
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let _ = connection.close();
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), SqliteError> {
    let failed = |source| SqliteError::Open { path: path.to_owned(), source };
    let known = migrations.len() as u32;
    // The write lock prevents two processes that start at once from migrating twice.
    let tx =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found: u32 =
        tx.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > known {
        return Err(SqliteError::NewerSchema { path: path.to_owned(), found, known });
    }
    for migration in &migrations[found as usize..] {
        tx.execute_batch(migration).map_err(failed)?;
    }
    if found < known {
        tx.pragma_update(None, "user_version", known).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[&str] = &["CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT"];

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.db");
        (folder, path)
    }

    #[tokio::test]
    async fn a_failed_write_leaves_nothing_behind() {
        let (_folder, path) = file();
        let db = Db::open(&path, Durability::Full, ONE).expect("opens");
        let failed = db
            .write(|tx| {
                tx.execute("INSERT INTO t VALUES (1)", [])?;
                tx.execute("INSERT INTO t VALUES (1)", [])
            })
            .await;
        assert!(matches!(failed, Err(SqliteError::Statement { .. })));
        db.write(|tx| tx.execute("INSERT INTO t VALUES (2)", [])).await.expect("writes");
        let sum: i64 = db
            .read(|c| c.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)))
            .await
            .expect("reads");
        assert_eq!(sum, 2);
    }

    #[tokio::test]
    async fn newer_files_are_refused_and_older_ones_upgraded() {
        let (_folder, path) = file();
        drop(Db::open(&path, Durability::Normal, ONE).expect("opens"));
        let two: &[&str] = &[ONE[0], "ALTER TABLE t ADD COLUMN m INTEGER"];
        drop(Db::open(&path, Durability::Normal, two).expect("migrates"));
        let refused = Db::open(&path, Durability::Normal, ONE);
        assert!(matches!(refused, Err(SqliteError::NewerSchema { found: 2, known: 1, .. })));
    }

    #[test]
    fn many_openers_may_create_the_file_at_once() {
        for _ in 0..20 {
            let (_folder, path) = file();
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| Db::open(&path, Durability::Normal, ONE).expect("opens"));
                }
            });
        }
    }

    #[tokio::test]
    async fn a_dropped_handle_leaves_one_complete_file() {
        let (folder, path) = file();
        let db = Db::open(&path, Durability::Normal, ONE).expect("opens");
        db.write(|tx| tx.execute("INSERT INTO t VALUES (7)", [])).await.expect("writes");
        // A reader that stays idle, and a second handle, as another process has it.
        db.read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await.expect("reads");
        let other = Db::open(&path, Durability::Normal, ONE).expect("opens");
        other.write(|tx| tx.execute("INSERT INTO t VALUES (8)", [])).await.expect("writes");
        drop(db);
        drop(other);
        let names = std::fs::read_dir(folder.path()).expect("a folder");
        let names: Vec<_> = names.map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(names, ["t.db"]);
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).expect("copies");
        let sum = Connection::open(&copy)
            .and_then(|c| c.query_row("SELECT sum(n) FROM t", [], |row| row.get::<_, i64>(0)));
        assert_eq!(sum.expect("reads"), 15);
    }

    #[tokio::test]
    async fn two_handles_on_one_file_take_turns() {
        let (_folder, path) = file();
        let one = Db::open(&path, Durability::Normal, ONE).expect("opens");
        let two = Db::open(&path, Durability::Normal, ONE).expect("opens");
        for n in 0..50_i64 {
            let db = if n % 2 == 0 { &one } else { &two };
            db.write(move |tx| tx.execute("INSERT INTO t VALUES (?1)", [n])).await.expect("writes");
        }
        let count: i64 = two
            .read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get(0)))
            .await
            .expect("reads");
        assert_eq!(count, 50);
    }
}
