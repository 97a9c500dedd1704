//! One connection to Redis, dialled on first use and dropped after a failure.
//!
//! Guarantees: no call waits without a limit. After an I/O error, a timeout or a reply from a replica
//! the next call dials again. Callers that wait for the same dial share its failure, so an
//! unreachable host costs each of them one time limit. A command is sent once; only a script that
//! Redis does not know is sent again, with its text.
//! Does not: wait between dials (the caller's back-off does), or use the reconnecting manager of
//! the `redis` crate, which redials neither after a timeout nor after `READONLY`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value,
};
use tokio::sync::Mutex;

use super::error::{CallError, RedisErrorClass};
use super::scripts::Call;
use crate::error::BrokerError;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Longer than a full append or a page of anything takes on a busy Redis.
pub(super) const RESPONSE_LIMIT: Duration = Duration::from_secs(5);
/// A connection that was not used for this long is tried before a command is sent there.
const IDLE: Duration = Duration::from_secs(1);
const PING_LIMIT: Duration = Duration::from_secs(1);
/// The kernel notices a dead peer after about half a minute of silence.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// The address of a Redis, and our login there.
#[derive(Clone)]
pub(super) struct Server {
    client: Client,
    login: RedisConnectionInfo,
    location: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.location).finish()
    }
}

impl Server {
    pub fn parse(url: &str, certificates: Option<TlsCertificates>) -> Result<Self, BrokerError> {
        let refused = |error: RedisError| BrokerError::Refused {
            location: "REDIS_URL".to_owned(),
            detail: error.to_string(),
        };
        isobar_tls::install();
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        let given = url.into_connection_info().map_err(refused)?;
        let login = given.redis_settings().clone();
        let location = given.addr().to_string();
        // This code logs in by itself. The crate reports every failed login as a wrong password,
        // even that of a server at its client limit, and only a wrong password needs a person.
        let plain = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let info = given
            .set_redis_settings(plain)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_keepalive(keepalive));
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        #[expect(clippy::disallowed_methods, reason = "the one place that connects to Redis")]
        let client = match certificates.filter(|_| is_tls) {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        };
        let client = client.map_err(refused)?;
        Ok(Self { client, login, location })
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(RESPONSE_LIMIT));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection on which any kind of server answers, even one that our login does not fit.
    /// `None` if the server is down.
    pub async fn dial_without_database(&self) -> Option<MultiplexedConnection> {
        let mut connection = self.connect().await.ok()?;
        // A sentinel may have no password. A server that needs another one says so to each command.
        let _ = self.authenticate(&mut connection).await;
        Some(connection)
    }

    async fn dial(&self) -> Result<MultiplexedConnection, CallError> {
        let mut connection = self.connect().await.map_err(CallError::while_dialling)?;
        match self.log_in(&mut connection).await {
            Ok(()) => Ok(connection),
            Err(error) => match CallError::while_dialling(error) {
                // The server is up; each command will report that it is not ready.
                loading if loading.class == RedisErrorClass::NotReady => Ok(connection),
                error => Err(error),
            },
        }
    }

    async fn authenticate(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let Some(password) = self.login.password() else { return Ok(()) };
        let mut auth = redis::cmd("AUTH");
        if let Some(username) = self.login.username() {
            auth.arg(username);
        }
        auth.arg(password).query_async(connection).await
    }

    async fn log_in(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        self.authenticate(connection).await?;
        if self.login.db() != 0 {
            let mut select = redis::cmd("SELECT");
            let select = select.arg(self.login.db());
            select.query_async::<()>(connection).await?;
        }
        redis::cmd("PING").query_async(connection).await
    }
}

/// A connection that may be down. Calls may overlap; they share it.
#[derive(Debug)]
pub(super) struct Connection {
    server: Server,
    /// How many dials have ended. A caller sees from it that a dial ended while it waited.
    dials: AtomicU64,
    state: Mutex<ConnectionState>,
}

#[derive(Debug, Default)]
struct ConnectionState {
    connection: Option<MultiplexedConnection>,
    /// When it was asked for last.
    used: Option<Instant>,
    /// Why the last dial failed.
    error: Option<CallError>,
}

impl Connection {
    pub fn new(server: Server) -> Self {
        Self { server, dials: AtomicU64::new(0), state: Mutex::default() }
    }

    pub async fn query(&self, command: &Cmd) -> Result<Value, CallError> {
        self.query_within(command, RESPONSE_LIMIT).await
    }

    /// For commands that block: `limit` must be longer than they do.
    pub async fn query_within(&self, command: &Cmd, limit: Duration) -> Result<Value, CallError> {
        let (mut connection, dial) = self.connection().await?;
        connection.set_response_timeout(limit);
        let reply = command.query_async(&mut connection).await;
        self.checked(reply, dial).await
    }

    pub async fn pipeline(&self, commands: &Pipeline) -> Result<Vec<Value>, CallError> {
        let (mut connection, dial) = self.connection().await?;
        let reply = commands.query_async(&mut connection).await;
        self.checked(reply, dial).await
    }

    /// Runs a script by its hash. If Redis does not know it (a new server, a restart, `SCRIPT
    /// FLUSH`), nothing of it has run: this loads it and runs it again.
    pub async fn call(&self, call: &Call) -> Result<Value, CallError> {
        let (mut connection, dial) = self.connection().await?;
        let mut reply = call.command().query_async(&mut connection).await;
        if matches!(&reply, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
        {
            reply = match call.script().load_async(&mut connection).await {
                Ok(_) => call.command().query_async(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        self.checked(reply, dial).await
    }

    /// The connection and the number of its dial.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), CallError> {
        let dials_before = self.dials.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let dials = self.dials.load(Ordering::Acquire);
        if let Some(connection) = state.connection.clone() {
            let is_idle = state.used.is_none_or(|used| used.elapsed() >= IDLE);
            if !is_idle || is_open(connection.clone()).await {
                state.used = Some(Instant::now());
                return Ok((connection, dials));
            }
            state.connection = None;
        }
        if let Some(error) = state.error.clone().filter(|_| dials != dials_before) {
            return Err(error);
        }
        let dialled = self.server.dial().await;
        self.dials.store(dials + 1, Ordering::Release);
        match dialled {
            Ok(connection) => {
                state.connection = Some(connection.clone());
                state.used = Some(Instant::now());
                state.error = None;
                Ok((connection, dials + 1))
            }
            Err(error) => {
                state.error = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn checked<T>(&self, reply: Result<T, RedisError>, dial: u64) -> Result<T, CallError> {
        let error = match reply {
            Ok(value) => return Ok(value),
            Err(error) => CallError::from(error),
        };
        if error.class == RedisErrorClass::Disconnected {
            let mut state = self.state.lock().await;
            // Otherwise another call has dialled again: that connection did not fail.
            if self.dials.load(Ordering::Acquire) == dial {
                state.connection = None;
            }
        }
        Err(error)
    }
}

/// Whether the server still answers there: it may have closed an idle connection. A command must not
/// find that out, because it is sent once.
async fn is_open(mut connection: MultiplexedConnection) -> bool {
    connection.set_response_timeout(PING_LIMIT);
    match redis::cmd("PING").query_async::<()>(&mut connection).await {
        Ok(()) => true,
        Err(error) => CallError::from(error).class != RedisErrorClass::Disconnected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_shows_no_password() {
        for (url, location) in [
            ("redis://user:hunter2@127.0.0.1:6390/3", "127.0.0.1:6390"),
            ("redis://redis.internal", "redis.internal:6379"),
            ("unix:///run/redis.sock?pass=hunter2", "/run/redis.sock"),
        ] {
            let server = Server::parse(url, None).expect("parses");
            assert_eq!(server.location(), location);
            assert!(!format!("{server:?}").contains("hunter2"));
        }
        assert!(matches!(
            Server::parse("redis://127.0.0.1/many", None),
            Err(BrokerError::Refused { .. })
        ));
    }
}
