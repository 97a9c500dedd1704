//! A real PostgreSQL: one cluster that all tests of this process share, a database for each test.
//!
//! The server runs with fsync on, as it would in production. `Postgres::database` is what nearly
//! every test wants; `Postgres::private` is a cluster of one's own that may be killed and started
//! again. PostgreSQL refuses to run as root, so root starts it as the user `postgres`. The server
//! that answers is checked to be ours by its data directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::guard::{Guarded, Spec, clean_environment, tail};
use super::port::free_port;
use super::wait::{PATIENCE, eventually};

/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 5;

/// Two test threads with a few processes and pools of eight connections each.
const MAX_CONNECTIONS: &str = "max_connections=200";

#[derive(Debug)]
pub struct Postgres {
    server: Guarded,
    port: u16,
    folder: TempDir,
}

/// An empty database of its own; it goes away with its cluster.
#[derive(Debug)]
pub struct Database {
    pub url: String,
}

impl Postgres {
    /// A fresh database in the cluster of this test process, which is started by the first caller.
    pub async fn database() -> Database {
        Self::shared().await.fresh_database().await
    }

    async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::private).await
    }

    /// A cluster of one's own (1.5 s), for tests that kill or stop the server.
    pub async fn private() -> Self {
        let folder = cluster_folder();
        initdb(folder.path()).await;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port();
            let mut server = launch(folder.path(), port);
            if is_ready(&mut server, folder.path(), port).await {
                return Self { server, port, folder };
            }
        }
        panic!("PostgreSQL does not start\n{}", tail(&log(folder.path())));
    }

    /// A database in another encoding than UTF8.
    pub async fn database_in(encoding: &str) -> Database {
        let server = Self::shared().await;
        let how = format!("ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        server.create_database(&how).await
    }

    /// A fresh database, and its URL for a role that may create nothing there.
    pub async fn database_for_guests() -> Database {
        let server = Self::shared().await;
        let database = server.create_database("").await;
        let name = database.url.rsplit_once('/').expect("a database").1;
        server.execute(&format!("CREATE ROLE guest_of_{name} LOGIN")).await;
        let mut connection =
            PgConnection::connect(&database.url).await.expect("connect to our PostgreSQL");
        let revoke = "REVOKE CREATE ON SCHEMA public FROM PUBLIC";
        sqlx::raw_sql(revoke).execute(&mut connection).await.expect("revokes");
        let url = format!("postgres://guest_of_{name}@127.0.0.1:{}/{name}", server.port);
        Database { url }
    }

    pub async fn fresh_database(&self) -> Database {
        self.create_database("").await
    }

    /// A database whose tables and indexes lie in `folder`, but not its log.
    pub async fn database_on(&self, folder: &Path) -> Database {
        let place = folder.join("tables");
        std::fs::create_dir(&place).expect("a folder");
        if is_root() {
            output(Command::new("chown").arg("postgres:").arg(&place)).expect("chown");
        }
        self.execute(&format!("CREATE TABLESPACE elsewhere LOCATION '{}'", place.display())).await;
        self.create_database("TABLESPACE elsewhere").await
    }

    async fn create_database(&self, how: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("it_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name} {how}")).await;
        Database { url: url(self.port, &name) }
    }

    async fn execute(&self, sql: &str) {
        let mut connection = connect(self.port).await.expect("connect to our PostgreSQL");
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection);
        done.await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub async fn kill9(&mut self) {
        self.server.kill9().await;
    }

    pub async fn stop(&mut self) {
        self.server.signal("INT");
        self.server.wait(PATIENCE, "PostgreSQL has stopped").await;
    }

    /// Starts the server again on the same port; after a kill this waits for its recovery, and
    /// before that for the last backend of the killed server to let go of the shared memory.
    pub async fn start_again(&mut self) {
        let (folder, port) = (self.folder.path(), self.port);
        let server = eventually(PATIENCE, "PostgreSQL starts again", async || {
            let mut server = launch(folder, port);
            is_ready(&mut server, folder, port).await.then_some(server)
        });
        self.server = server.await;
    }
}

impl Database {
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connect to the test's database")
    }
}

fn launch(folder: &Path, port: u16) -> Guarded {
    let port = format!("port={port}");
    let settings = [
        &port,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=on",
        "timezone=UTC",
        MAX_CONNECTIONS,
    ];
    // QUIT is PostgreSQL's immediate shutdown: after a KILL its shared memory would stay.
    let arguments = settings.into_iter().flat_map(|setting| ["-c", setting]);
    guarded(folder, "postgres", arguments, "QUIT")
}

async fn initdb(folder: &Path) {
    let arguments =
        ["--username=isobar", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
    let mut initdb = guarded(folder, "initdb", arguments, "TERM");
    let code = initdb.wait(PATIENCE, "initdb has ended").await;
    assert_eq!(code, 0, "initdb failed\n{}", tail(&log(folder)));
}

/// One of the server's programs on the folder's cluster, as the server's user.
fn guarded<'a>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = &'a str>,
    last_signal: &'static str,
) -> Guarded {
    let mut command = as_server_user(bin_dir().join(program).into_os_string());
    command.extend(["-D".into(), folder.join("data").into_os_string()]);
    command.extend(arguments.into_iter().map(OsString::from));
    Guarded::start(&Spec {
        program: &command[0],
        arguments: command[1..].iter().map(OsString::as_os_str).collect(),
        environment: clean_environment(),
        working_dir: folder,
        input: None,
        stdout: log(folder),
        stderr: log(folder),
        last_signal,
        remove: Some(folder),
    })
}

/// True once our own server answers, false if it ended before.
async fn is_ready(server: &mut Guarded, folder: &Path, port: u16) -> bool {
    eventually(PATIENCE, "PostgreSQL answers", async || {
        if server.exit_code().is_some() {
            return Some(false);
        }
        let mut connection = connect(port).await.ok()?;
        let data: String = sqlx::query_scalar("SELECT current_setting('data_directory')")
            .fetch_one(&mut connection)
            .await
            .ok()?;
        (Path::new(&data) == folder.join("data")).then_some(true)
    })
    .await
}

async fn connect(port: u16) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&url(port, "postgres")).await
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://isobar@127.0.0.1:{port}/{database}")
}

/// A folder that the server's user owns and can reach; a private TMPDIR of root's is not.
fn cluster_folder() -> TempDir {
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let found = places.into_iter().find_map(|place| {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("isobar-postgres-").tempdir_in(place).ok()?;
        if is_root() {
            output(Command::new("chown").arg("postgres:").arg(folder.path()))?;
        }
        let probe = as_server_user("test".into());
        let mut command = Command::new(&probe[0]);
        output(command.args(&probe[1..]).arg("-w").arg(folder.path()))?;
        Some(folder)
    });
    found.expect("a temporary folder that the user postgres can write to")
}

fn as_server_user(program: OsString) -> Vec<OsString> {
    let mut command = Vec::new();
    if is_root() {
        let switch = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
        command.extend(switch.map(OsString::from));
    }
    command.push(program);
    command
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_some_and(|id| id == "0")
}

/// Where initdb and postgres are: as pg_config says, else the newest that Debian has installed.
fn bin_dir() -> PathBuf {
    let said = output(Command::new("pg_config").arg("--bindir")).map(PathBuf::from);
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort();
    said.into_iter()
        .chain(debian.into_iter().rev())
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .expect("PostgreSQL's server binaries (run tests/run, which installs them)")
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_databases_are_separate() {
        let (one, other) = (Postgres::database().await, Postgres::database().await);
        assert_ne!(one.url, other.url);
        let mut connection = one.connect().await;
        sqlx::raw_sql("CREATE TABLE cities (id bigint)")
            .execute(&mut connection)
            .await
            .expect("create");
        let seen: Option<String> = sqlx::query_scalar("SELECT to_regclass('cities')::text")
            .fetch_one(&mut other.connect().await)
            .await
            .expect("look");
        assert_eq!(seen, None);
    }

    #[tokio::test]
    async fn a_private_cluster_keeps_what_was_committed_over_a_kill_and_a_stop() {
        let mut postgres = Postgres::private().await;
        let database = postgres.fresh_database().await;
        let mut connection = database.connect().await;
        sqlx::raw_sql("CREATE TABLE cities AS SELECT 7 AS id")
            .execute(&mut connection)
            .await
            .expect("create");
        postgres.kill9().await;
        assert!(PgConnection::connect(&database.url).await.is_err());
        postgres.start_again().await;
        postgres.stop().await;
        postgres.start_again().await;
        let id: i32 = sqlx::query_scalar("SELECT id FROM cities")
            .fetch_one(&mut database.connect().await)
            .await
            .expect("read");
        assert_eq!(id, 7);
    }
}
