//! The broker over Redis Streams (Redis ≥ 7.0 or Valkey, one primary).
//!
//! Every transition is one Lua script in `scripts/`, so that a crash between two steps cannot
//! exist; each says in its head what it takes and returns. An entry's owner, idle time and number
//! of deliveries are the consumer group's own; attempts are in a hash beside the stream.
//!
//! Guarantees: connections are dialled when they are needed, so that a Redis that is down now is
//! an error of the call and not of the start; a connection that failed is dropped, so that the
//! next call dials; no command is ever sent twice from here (I1 rests on the caller knowing).
//! Three kinds of connection: one for everything, one for renewals, which nothing may delay, and
//! one for each blocking reader. Deliberately absent: retries, and any command newer than 7.0.
//!
//! Next: `link.rs` (connections), `fault.rs` (what an error means), `append.rs`, `deliver.rs`,
//! `lease.rs`, `depth.rs` (the stream), `quota.rs`, `kept.rs` (cache, heartbeats), `switches.rs`.

mod append;
mod cache;
mod connection;
mod deliver;
mod depth;
mod error;
mod flags;
mod inspect;
mod lease;
mod quota;
mod reply;
mod scripts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::redis::Value;

use self::connection::{Link, Server};
use self::error::Failure;
use self::scripts::Call;
use super::{BrokerError, Topic};

type Result<T> = std::result::Result<T, BrokerError>;

/// How many entries one script handles: Lua cannot unpack many more, and Redis serves nobody else
/// meanwhile.
const IDS_PER_CALL: usize = 1_000;

/// Redis as the broker. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct RedisBroker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    main: Link,
    renewals: Link,
    /// One for each reader and stream, as a read blocks whatever shares its connection.
    readers: Mutex<HashMap<(String, String), Arc<Link>>>,
}

impl RedisBroker {
    /// Reads the URL; connects to nothing yet. Fails only for what a person must mend.
    pub fn at(url: &str) -> Result<Self> {
        let server = Server::parse(url)?;
        Ok(Self {
            inner: Arc::new(Inner {
                main: Link::new(server.clone()),
                renewals: Link::new(server.clone()),
                readers: Mutex::default(),
                server,
            }),
        })
    }

    pub fn location(&self) -> String {
        self.inner.server.location().to_owned()
    }

    pub async fn ping(&self) -> Result<()> {
        self.query(&::redis::cmd("PING"), "").await.map(drop)
    }

    async fn query(&self, command: &::redis::Cmd, stream: &str) -> Result<Value> {
        let answer = self.inner.main.query(command).await;
        answer.map_err(|failure| self.failed(failure, stream))
    }

    async fn call(&self, call: &Call, topic: &Topic) -> Result<Value> {
        let answer = self.inner.main.call(call).await;
        answer.map_err(|failure| self.failed(failure, &topic.stream))
    }

    /// A call that belongs to no stream.
    async fn call_apart(&self, call: &Call) -> Result<Value> {
        let answer = self.inner.main.call(call).await;
        answer.map_err(|failure| self.failed(failure, ""))
    }

    fn reader(&self, topic: &Topic, consumer: &str) -> Arc<Link> {
        let mut readers = self.readers();
        let key = (topic.stream.clone(), consumer.to_owned());
        let link =
            readers.entry(key).or_insert_with(|| Arc::new(Link::new(self.inner.server.clone())));
        Arc::clone(link)
    }

    fn forget_reader(&self, topic: &Topic, consumer: &str) {
        self.readers().remove(&(topic.stream.clone(), consumer.to_owned()));
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Arc<Link>>> {
        let readers = self.inner.readers.lock();
        readers.unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, failure: Failure, stream: &str) -> BrokerError {
        failure.explain(self.inner.server.location(), stream)
    }

    /// Redis answered something that these commands do not answer.
    fn odd(&self, source: anyhow::Error) -> BrokerError {
        BrokerError::Unexpected { location: self.location(), source }
    }
}
