//! The Redis broker itself: its connections, and how a call turns a reply into a value.
//!
//! Guarantees: a connection is dialled on first use and dropped after a failure, so the next call
//! dials again. There are three kinds: one for everything, one for lease renewals, which nothing
//! may delay, and one for each blocking reader.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isobar_settings::Settings;
use isobar_settings::values::{PathSetting, RedisUrl};
use redis::{ClientTlsConfig, Cmd, Pipeline, TlsCertificates, Value};

use super::connection::{Connection, Server};
use super::error::CallError;
use super::scripts::Call;
use crate::error::{BrokerError, Result};
use crate::topic::Topic;

/// How many entries one script handles: Lua cannot unpack many more, and Redis serves no other
/// client while a script runs.
pub(super) const IDS_PER_CALL: usize = 1_000;

/// Redis as the broker. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct RedisBroker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    main: Connection,
    renewals: Connection,
    /// One for each stream and consumer, because a read blocks its whole connection.
    readers: Mutex<Readers>,
}

type Readers = HashMap<(String, String), Arc<Connection>>;

impl RedisBroker {
    /// Reads the URL without connecting. Fails only for a URL that a person must correct.
    pub fn at(url: &str) -> Result<Self> {
        Server::parse(url, None).map(Self::of)
    }

    /// The same with the certificates of the settings.
    pub fn open(url: &RedisUrl, settings: &Settings) -> Result<Self> {
        Server::parse(&url.0, certificates(settings)?).map(Self::of)
    }

    fn of(server: Server) -> Self {
        Self {
            inner: Arc::new(Inner {
                main: Connection::new(server.clone()),
                renewals: Connection::new(server.clone()),
                readers: Mutex::default(),
                server,
            }),
        }
    }

    pub fn location(&self) -> String {
        self.inner.server.location().to_owned()
    }

    pub async fn ping(&self) -> Result<()> {
        self.query(&redis::cmd("PING"), "", |_| Ok(())).await
    }

    /// Sends one command. `stream` is empty for a command that belongs to no stream.
    pub(super) async fn query<T>(
        &self,
        command: &Cmd,
        stream: &str,
        read: impl FnOnce(Value) -> anyhow::Result<T>,
    ) -> Result<T> {
        self.finish(self.inner.main.query(command).await, stream, read)
    }

    pub(super) async fn pipeline<T>(
        &self,
        commands: &Pipeline,
        stream: &str,
        read: impl FnOnce(Vec<Value>) -> anyhow::Result<T>,
    ) -> Result<T> {
        self.finish(self.inner.main.pipeline(commands).await, stream, read)
    }

    /// Runs a script. `stream` is empty for a script that belongs to no stream.
    pub(super) async fn call<T>(
        &self,
        call: &Call,
        stream: &str,
        read: impl FnOnce(Value) -> anyhow::Result<T>,
    ) -> Result<T> {
        self.finish(self.inner.main.call(call).await, stream, read)
    }

    pub(super) fn server(&self) -> &Server {
        &self.inner.server
    }

    /// The connection for lease renewals.
    pub(super) fn renewals(&self) -> &Connection {
        &self.inner.renewals
    }

    /// The reply as a value; a reply that `read` does not understand is an invalid response.
    pub(super) fn finish<R, T>(
        &self,
        reply: std::result::Result<R, CallError>,
        stream: &str,
        read: impl FnOnce(R) -> anyhow::Result<T>,
    ) -> Result<T> {
        let reply =
            reply.map_err(|error| error.into_broker_error(self.inner.server.location(), stream))?;
        read(reply).map_err(|error| self.unexpected(error))
    }

    pub(super) fn unexpected(&self, source: anyhow::Error) -> BrokerError {
        BrokerError::Unexpected { location: self.location(), source }
    }

    pub(super) fn reader(&self, topic: &Topic, consumer: &str) -> Arc<Connection> {
        let key = (topic.stream.clone(), consumer.to_owned());
        let mut readers = self.readers();
        let reader = readers
            .entry(key)
            .or_insert_with(|| Arc::new(Connection::new(self.inner.server.clone())));
        Arc::clone(reader)
    }

    pub(super) fn forget_reader(&self, topic: &Topic, consumer: &str) {
        self.readers().remove(&(topic.stream.clone(), consumer.to_owned()));
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The certificates that the settings name; `None` leaves it to the system's.
fn certificates(settings: &Settings) -> Result<Option<TlsCertificates>> {
    let read = |name: &str, path: &Option<PathSetting>| {
        let read = path.as_ref().map(|path| std::fs::read(&path.0)).transpose();
        read.map_err(|error| BrokerError::Refused {
            location: name.to_owned(),
            detail: error.to_string(),
        })
    };
    let ca = read("ISOBAR_CA_FILE", &settings.ca_file)?;
    let cert = read("REDIS_CLIENT_CERT", &settings.redis_client_cert)?;
    let key = read("REDIS_CLIENT_KEY", &settings.redis_client_key)?;
    let client_tls =
        cert.zip(key).map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    if ca.is_none() && client_tls.is_none() {
        return Ok(None);
    }
    // The crate trusts these alone.
    let root_cert = ca.map(isobar_tls::with_system_roots);
    Ok(Some(TlsCertificates { client_tls, root_cert }))
}
