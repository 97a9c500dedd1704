//! One connection to Redis that is dialled when it is needed and dropped when it failed.
//!
//! Guarantees: no call waits without a limit; after an I/O error, a timeout or an answer of a
//! replica the next call dials anew; callers that wait for the same dial share its failure, so
//! that an unreachable host costs each of them one time limit and not a queue of them. A command
//! is sent once: only one that Redis refused for not knowing the script is sent again, with it.
//!
//! Deliberately absent: waiting between dials (the caller's back-off knows how long) and the
//! crate's own reconnecting manager, which neither redials after a timeout nor after `READONLY`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, RedisError, ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::error::{Failure, Meaning};
use super::scripts::Call;
use crate::BrokerError;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Longer than a full append or a page of anything takes on a busy Redis.
pub(super) const RESPONSE_LIMIT: Duration = Duration::from_secs(5);
/// A dead peer is noticed by the kernel after about half a minute of silence.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// Where Redis is and who we are there.
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
    pub fn parse(url: &str) -> Result<Self, BrokerError> {
        let refused = |error: RedisError| BrokerError::Refused {
            location: "REDIS_URL".to_owned(),
            detail: error.to_string(),
        };
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        let given = url.into_connection_info().map_err(refused)?;
        let login = given.redis_settings().clone();
        let location = given.addr().to_string();
        // We log in ourselves: the crate makes every failure of that a wrong password, even that
        // of a server that has no connection left, and only one of them asks for a person.
        let plain = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let info = given
            .set_redis_settings(plain)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_keepalive(keepalive));
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that makes connections to Redis"
        )]
        let client = Client::open(info).map_err(refused)?;
        Ok(Self { client, login, location })
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    async fn dial(&self) -> Result<MultiplexedConnection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(RESPONSE_LIMIT));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(Failure::while_dialling)?;
        match self.log_in(&mut connection).await {
            Ok(()) => Ok(connection),
            Err(error) => match Failure::while_dialling(error) {
                // It is there: whoever asks something of it will hear the same.
                loading if loading.meaning == Meaning::NotReady => Ok(connection),
                failure => Err(failure),
            },
        }
    }

    async fn log_in(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        if let Some(password) = self.login.password() {
            let mut auth = redis::cmd("AUTH");
            if let Some(username) = self.login.username() {
                auth.arg(username);
            }
            auth.arg(password).query_async::<()>(connection).await?;
        }
        if self.login.db() != 0 {
            let mut select = redis::cmd("SELECT");
            let select = select.arg(self.login.db());
            select.query_async::<()>(connection).await?;
        }
        redis::cmd("PING").query_async(connection).await
    }
}

/// A connection, or the lack of one. Calls may overlap; they share it.
#[derive(Debug)]
pub(super) struct Link {
    server: Server,
    /// How many dials have ended: tells a caller that one ended while it waited.
    dials: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    failure: Option<Failure>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connected = self.connection.is_some();
        f.debug_struct("State").field("connected", &connected).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(server: Server) -> Self {
        Self { server, dials: AtomicU64::new(0), state: Mutex::default() }
    }

    pub async fn query(&self, command: &Cmd) -> Result<Value, Failure> {
        self.query_within(command, RESPONSE_LIMIT).await
    }

    /// For commands that block: `limit` must be longer than they do.
    pub async fn query_within(&self, command: &Cmd, limit: Duration) -> Result<Value, Failure> {
        let (mut connection, dial) = self.connection().await?;
        connection.set_response_timeout(limit);
        let answer = command.query_async(&mut connection).await;
        self.checked(answer, dial).await
    }

    pub async fn pipeline(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let (mut connection, dial) = self.connection().await?;
        let answer = commands.query_async(&mut connection).await;
        self.checked(answer, dial).await
    }

    /// Runs a script by its hash, and hands it over first if Redis does not know it (a new server,
    /// a restart, `SCRIPT FLUSH`): nothing of it has run then.
    pub async fn call(&self, call: &Call) -> Result<Value, Failure> {
        let (mut connection, dial) = self.connection().await?;
        let mut answer = call.command().query_async(&mut connection).await;
        if matches!(&answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
        {
            answer = match call.script().load_async(&mut connection).await {
                Ok(_) => call.command().query_async(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        self.checked(answer, dial).await
    }

    /// The connection and the number of its dial.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), Failure> {
        let seen = self.dials.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let dials = self.dials.load(Ordering::Acquire);
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), dials));
        }
        if let Some(failure) = state.failure.clone().filter(|_| dials != seen) {
            return Err(failure);
        }
        let dialled = self.server.dial().await;
        self.dials.store(dials + 1, Ordering::Release);
        match dialled {
            Ok(connection) => {
                state.connection = Some(connection.clone());
                state.failure = None;
                Ok((connection, dials + 1))
            }
            Err(failure) => {
                state.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    async fn checked<T>(&self, answer: Result<T, RedisError>, dial: u64) -> Result<T, Failure> {
        let failure = match answer {
            Ok(value) => return Ok(value),
            Err(error) => Failure::from(error),
        };
        if failure.meaning == Meaning::Gone {
            let mut state = self.state.lock().await;
            // A newer connection is not the one that failed.
            if self.dials.load(Ordering::Acquire) == dial {
                state.connection = None;
            }
        }
        Err(failure)
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
            let server = Server::parse(url).expect("parses");
            assert_eq!(server.location(), location);
            assert!(!format!("{server:?}").contains("hunter2"));
        }
        assert!(matches!(
            Server::parse("redis://127.0.0.1/many"),
            Err(BrokerError::Refused { .. })
        ));
    }
}
