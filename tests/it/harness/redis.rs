//! A real Redis server for one test: append-only file every second, `noeviction`, no snapshots.
//!
//! That is the configuration that we ask of operators, so a `kill9` followed by `start_again` loses
//! what theirs would lose and nothing else. [`OtherRedis`] is a replica, a sentinel or a node of a
//! cluster. The server that answers is checked to be ours by the
//! folder it works in. For looking at keys there is `cli`, which takes words as `redis-cli` does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::guard::{Guarded, Spec, clean_environment, tail};
use super::port::free_port;
use super::wait::{PATIENCE, eventually};

/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 5;

#[derive(Debug)]
pub struct Redis {
    server: Guarded,
    port: u16,
    folder: TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("isobar-redis-").tempdir().expect("temporary folder");
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port();
            let mut server = launch(&folder, port);
            if is_ready(&mut server, &folder, port).await {
                return Self { server, port, folder };
            }
        }
        panic!(
            "redis-server does not start (is it installed? run tests/run)\n{}",
            tail(&log(&folder))
        );
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Power cut: what the append-only file does not have yet is lost.
    pub async fn kill9(&mut self) {
        self.server.kill9().await;
    }

    /// Orderly shutdown: everything is written first.
    pub async fn stop(&mut self) {
        self.server.signal("TERM");
        self.server.wait(PATIENCE, "redis-server has stopped").await;
    }

    /// Starts the server again on the same port with what the folder holds.
    pub async fn start_again(&mut self) {
        self.server = launch(&self.folder, self.port);
        assert!(
            is_ready(&mut self.server, &self.folder, self.port).await,
            "redis-server does not start again\n{}",
            tail(&log(&self.folder))
        );
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        connect(self.port).await.expect("connect to our Redis")
    }

    /// One command in the words of `redis-cli`: `redis.cli::<u64>(&["XLEN", "key"])`.
    pub async fn cli<T: FromRedisValue>(&self, words: &[&str]) -> T {
        command(words)
            .query_async(&mut self.connection().await)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", words.join(" ")))
    }

    /// Sets the last sign of life of the only publisher back by years; returns its job.
    pub async fn silence_publisher(&self) -> String {
        let marks = "{owm-ingestion-stream}:watermarks";
        let mark: Vec<String> = self.cli(&["HGETALL", marks]).await;
        let parts: Vec<&str> = mark[1].split(' ').collect();
        let long_ago = [parts[0], parts[1], parts[2], "1000", parts[4]].join(" ");
        let _: u64 = self.cli(&["HSET", marks, &mark[0], &long_ago]).await;
        mark[0].clone()
    }
}

/// A Redis that takes no tasks; it answers as soon as it is started.
#[derive(Debug)]
pub struct OtherRedis {
    _server: Guarded,
    port: u16,
    _folder: TempDir,
}

impl OtherRedis {
    /// A read-only copy of `primary`, once it has all its data.
    pub async fn replica_of(primary: &Redis) -> Self {
        let of = primary.port.to_string();
        let replica = Self::start(&["--replicaof", "127.0.0.1", &of], None).await;
        eventually(PATIENCE, "the replica has its data", async || {
            replica.info("replication").await?.contains("master_link_status:up").then_some(())
        })
        .await;
        replica
    }

    /// A node that owns every slot of its cluster.
    pub async fn cluster_node() -> Self {
        let node = Self::start(&["--cluster-enabled", "yes"], None).await;
        let mut connection = connect(node.port).await.expect("connect to the node");
        let slots = command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        let () = slots.query_async(&mut connection).await.expect("the node takes all slots");
        eventually(PATIENCE, "the cluster is complete", async || {
            let info = command(&["CLUSTER", "INFO"]);
            let info: String = info.query_async(&mut connection).await.ok()?;
            info.contains("cluster_state:ok").then_some(())
        })
        .await;
        node
    }

    /// A server with a TLS port, whose certificate and whose clients' authority are in `certificates`.
    pub async fn with_tls(certificates: &Path, asks_clients: bool) -> (Self, u16) {
        let file = |name: &str| certificates.join(name).to_string_lossy().into_owned();
        let port = free_port();
        let arguments = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("server.pem")),
            ("--tls-key-file", file("server.key")),
            ("--tls-ca-cert-file", file("ca.pem")),
            ("--tls-auth-clients", if asks_clients { "yes" } else { "no" }.to_owned()),
        ];
        let words: Vec<&str> =
            arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        (Self::start(&words, None).await, port)
    }

    /// A sentinel that watches `primary` under the name `mymaster`.
    pub async fn sentinel_of(primary: &Redis) -> Self {
        let watches = format!("sentinel monitor mymaster 127.0.0.1 {} 1\n", primary.port);
        Self::start(&["--sentinel"], Some(&watches)).await
    }

    async fn start(arguments: &[&str], file: Option<&str>) -> Self {
        let folder =
            tempfile::Builder::new().prefix("isobar-redis-").tempdir().expect("temporary folder");
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port();
            let (own_port, mut words) = (port.to_string(), Vec::new());
            if let Some(text) = file {
                // A sentinel writes its state into its file.
                std::fs::write(folder.path().join("redis.conf"), text).expect("writes");
                words.push("redis.conf");
            }
            words.extend(["--port", &own_port, "--bind", "127.0.0.1", "--dir", "."]);
            words.extend(arguments);
            let mut server = guarded(&folder, &words);
            let is_up = eventually(PATIENCE, "redis-server answers", async || {
                if server.exit_code().is_some() {
                    return Some(false);
                }
                connect(port).await.is_ok().then_some(true)
            });
            if is_up.await {
                return Self { _server: server, port, _folder: folder };
            }
        }
        panic!("redis-server does not start\n{}", tail(&log(&folder)));
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    pub fn location(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub async fn cli<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = connect(self.port).await.expect("connect to our Redis");
        let answer = command(words).query_async(&mut connection).await;
        answer.unwrap_or_else(|error| panic!("{}: {error}", words.join(" ")))
    }

    async fn info(&self, section: &str) -> Option<String> {
        let mut connection = connect(self.port).await.ok()?;
        command(&["INFO", section]).query_async(&mut connection).await.ok()
    }
}

fn launch(folder: &TempDir, port: u16) -> Guarded {
    let port = port.to_string();
    let arguments = [
        "--port",
        port.as_str(),
        "--bind",
        "127.0.0.1",
        "--dir",
        ".",
        "--daemonize",
        "no",
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory-policy",
        "noeviction",
        "--save",
        "",
    ];
    guarded(folder, &arguments)
}

fn guarded(folder: &TempDir, arguments: &[&str]) -> Guarded {
    Guarded::start(&Spec {
        program: OsStr::new("redis-server"),
        arguments: arguments.iter().map(OsStr::new).collect(),
        environment: clean_environment(),
        working_dir: folder.path(),
        input: None,
        stdout: log(folder),
        stderr: log(folder),
        last_signal: "KILL",
        remove: Some(folder.path()),
    })
}

/// True once our own server answers, false if it ended before.
async fn is_ready(server: &mut Guarded, folder: &TempDir, port: u16) -> bool {
    eventually(PATIENCE, "redis-server answers", async || {
        if server.exit_code().is_some() {
            return Some(false);
        }
        let folder_of_answer = working_dir(port).await.ok()?;
        (folder_of_answer == folder.path().canonicalize().ok()?).then_some(true)
    })
    .await
}

/// Fails while the server loads its file, too: then every command but PING answers `LOADING`.
async fn working_dir(port: u16) -> RedisResult<PathBuf> {
    let mut connection = connect(port).await?;
    let (_, folder): (String, String) =
        command(&["CONFIG", "GET", "dir"]).query_async(&mut connection).await?;
    let _: String = command(&["GETSET", "isobar-harness", "up"])
        .query_async::<Option<String>>(&mut connection)
        .await?
        .unwrap_or_default();
    let _: i64 = command(&["DEL", "isobar-harness"]).query_async(&mut connection).await?;
    Ok(PathBuf::from(folder))
}

async fn connect(port: u16) -> RedisResult<MultiplexedConnection> {
    #[expect(clippy::disallowed_methods, reason = "the tests look into Redis past our own client")]
    let client = redis::Client::open(url(port))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("server.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn redis_keeps_its_data_over_a_kill_and_a_stop() {
        let mut redis = Redis::start().await;
        let port = redis.port();
        let () = redis.cli(&["SET", "city", "Zürich"]).await;
        // Everysec means that a second may be lost: wait for the file, not for a second.
        eventually(PATIENCE, "the append-only file is on disk", async || {
            let info: String = redis.cli(&["INFO", "persistence"]).await;
            (info.contains("aof_pending_bio_fsync:0") && info.contains("aof_buffer_length:0"))
                .then_some(())
        })
        .await;
        redis.kill9().await;
        assert!(connect(port).await.is_err(), "nobody answers after a kill");
        redis.start_again().await;
        assert_eq!(redis.cli::<String>(&["GET", "city"]).await, "Zürich");
        redis.stop().await;
        redis.start_again().await;
        assert_eq!(redis.url(), format!("redis://127.0.0.1:{port}"));
        assert_eq!(redis.cli::<u64>(&["DBSIZE"]).await, 1, "the harness leaves no key of its own");
    }

    #[tokio::test]
    async fn a_dropped_redis_is_gone() {
        let redis = Redis::start().await;
        let (port, folder) = (redis.port(), redis.folder.path().to_owned());
        drop(redis);
        assert!(connect(port).await.is_err());
        assert!(!folder.exists());
    }
}
