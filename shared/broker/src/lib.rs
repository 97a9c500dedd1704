//! The stream between producer and workers, and the small state that roles share.
//!
//! [`Broker`] promises the same over Redis Streams and over a SQLite file; one conformance suite
//! (`tests/it/broker.rs`) holds both to it. It is defined by what it promises, not by Redis'
//! words: an entry has an owner, a time when it falls due, a number of deliveries and of
//! attempts. Nothing unprocessed is ever trimmed or expired (I6); a full stream refuses.
//!
//! Deliberately absent: retries (the caller knows how long it may wait), the meaning of a field
//! (see [`task`](isobar_model::task)), any knowledge of stores.
//! Next: [`keys`] (every name in Redis), [`redis`] and [`embedded`] (the two backends).

pub mod embedded;
mod entry;
mod flags;
pub mod keys;
pub mod redis;
mod topic;

use std::collections::HashMap;
use std::time::Duration;

pub use entry::{
    Append, Appended, BrokerError, ClaimLimits, ConsumerInfo, Depth, Entry, EntryId, GiveBack,
    GroupFacts, Healed, Lane, Position, QuotaAnswer, Receipt, RedisFacts, Removal, Reservation,
    Span, Watermarks,
};
pub use flags::{SWITCHES_EVERY, Switch, Switches, Thrown};
pub use topic::Topic;

use self::keys::{PARKED, RETURNED};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::quota::{QuotaLimits, QuotaUse};
use isobar_settings::Settings;

/// The one way to the stream, the cache, the quota windows and the heartbeats. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Broker {
    Redis(redis::RedisBroker),
    Embedded(embedded::EmbeddedBroker),
}

type Result<T> = std::result::Result<T, BrokerError>;

/// The embedded broker's file in the data dir.
const EMBEDDED_FILE: &str = "broker.db";

/// Runs one expression against whichever backend this is.
macro_rules! either {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self {
            Broker::Redis($backend) => $call,
            Broker::Embedded($backend) => $call,
        }
    };
}

impl Broker {
    /// The broker that the settings name. Redis is dialled when it is needed, so that a role may
    /// start before it; an embedded file is opened at once, in the data dir, which is made.
    pub fn open(settings: &Settings) -> Result<Self> {
        if let Some(url) = settings.redis_url.as_ref().filter(|_| !settings.embedded_broker()) {
            return redis::RedisBroker::at(&url.0).map(Self::Redis);
        }
        embedded::EmbeddedBroker::open(&settings.data_file(EMBEDDED_FILE)).map(Self::Embedded)
    }
}

/// The stream.
impl Broker {
    /// `redis` or `embedded`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Embedded(_) => "embedded",
        }
    }

    /// Where it is, without secrets: `127.0.0.1:6379` or a path.
    pub fn location(&self) -> String {
        either!(self, backend => backend.location())
    }

    pub async fn ping(&self) -> Result<()> {
        either!(self, backend => backend.ping().await)
    }

    /// Makes the stream whole if it is not: where a group is missing, both groups are created at
    /// the very beginning, the watermarks and attempts are cleared, and a new epoch tells every
    /// relay that what it sent may be gone. A whole stream is left as it is.
    pub async fn heal(&self, topic: &Topic) -> Result<Healed> {
        either!(self, backend => backend.heal(topic).await)
    }

    /// Appends one frozen batch, all of it or nothing, and at most once (I1, I2): the job's
    /// watermark decides. [`BrokerError::Missing`] asks for [`heal`](Self::heal).
    pub async fn append(&self, topic: &Topic, batch: &Append<'_>) -> Result<Appended> {
        either!(self, backend => backend.append(topic, batch).await)
    }

    /// The epoch, and how far each of `jobs` got in it.
    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        either!(self, backend => backend.watermarks(topic, jobs).await)
    }

    /// For each receipt, whether any of its entries is still in the stream.
    pub async fn unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        either!(self, backend => backend.unfinished(topic, receipts).await)
    }

    /// Drops the watermark of a job of which every batch is confirmed.
    pub async fn forget(&self, topic: &Topic, job: JobId) -> Result<()> {
        either!(self, backend => backend.forget(topic, job).await)
    }

    /// Takes up to `count` entries that nobody has had, of both lanes together, waiting up to
    /// `wait` for the first. Never drop this future half-way: what it took would sit unseen with
    /// this consumer until [`recover`](Self::recover).
    pub async fn read(
        &self,
        topic: &Topic,
        consumer: &str,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>> {
        either!(self, backend => backend.read(topic, consumer, count, wait).await)
    }

    /// Entries that `consumer` owns, in order after `after`: what a lost reply had delivered.
    /// The caller skips those that it knows it holds.
    pub async fn owned(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        either!(self, backend => backend.owned(topic, consumer, lane, after, count).await)
    }

    /// Ends entries whose result is committed (I3): they leave the stream, their attempts too.
    /// It takes them whoever owns them by now; the answer says how many were still there.
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        either!(self, backend => backend.ack(topic, lane, ids).await)
    }

    /// Starts the leases of `ids` anew where `consumer` still owns them; returns those it lost.
    pub async fn renew(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        either!(self, backend => backend.renew(topic, consumer, lane, ids).await)
    }

    /// Takes over entries that fell due (their owner is silent, or they were given back), each as
    /// one more delivery. `position` moves on through the pending entries and wraps at the end,
    /// so a busy head never starves the tail.
    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut Position,
        limits: ClaimLimits,
    ) -> Result<Vec<Entry>> {
        either!(self, backend => backend.claim(topic, consumer, lane, position, limits).await)
    }

    /// Hands entries back, each to fall due after its delay (never longer than the claim idle).
    /// The delivery is taken back; an attempt is counted only where it was one (I7). Returns the
    /// entries that `consumer` did not own any more, which are left as they are.
    pub async fn give_back(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        entries: &[GiveBack],
        claim_idle: Duration,
    ) -> Result<Vec<EntryId>> {
        either!(self, backend => {
            backend.hand_over(topic, consumer, RETURNED, lane, entries, claim_idle).await
        })
    }

    /// Sets entries of a paused job aside, to fall due after the claim idle: the delivery is taken
    /// back and no attempt is counted (I7). Until somebody claims them they do not count against
    /// the high-water mark, unless there are more of them than that: a paused job must not keep
    /// the others out. Returns those that `consumer` did not own any more.
    pub async fn park(
        &self,
        topic: &Topic,
        consumer: &str,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        let back = |id: &EntryId| GiveBack { id: *id, delay: Duration::ZERO, attempt: false };
        let entries: Vec<GiveBack> = ids.iter().map(back).collect();
        // Idle for no time at all: due after a whole claim idle.
        let idle = Duration::ZERO;
        either!(self, backend => {
            backend.hand_over(topic, consumer, PARKED, Lane::Tasks, &entries, idle).await
        })
    }

    /// Finds delivered entries that nobody owns (a consumer was deleted by hand) in one page of
    /// the stream after `position`, and makes them due at once. Returns how many it found.
    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        lane: Lane,
        position: &mut Position,
        claim_idle: Duration,
    ) -> Result<u64> {
        either!(self, backend => backend.adopt_orphans(topic, lane, position, claim_idle).await)
    }

    /// Removes a consumer's name if it owns nothing in either lane and has been idle for `idle`.
    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<Removal> {
        either!(self, backend => backend.remove_consumer(topic, consumer, idle).await)
    }

    /// How much is unfinished, and when the next entry falls due.
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        either!(self, backend => backend.depth(topic, claim_idle).await)
    }

    /// The same, where a stream that nobody has made yet is empty.
    pub async fn unfinished_of(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        match self.depth(topic, claim_idle).await {
            Err(BrokerError::Missing { .. }) => Ok(Depth::default()),
            depth => depth,
        }
    }

    /// How much is unfinished in each stream.
    pub async fn depths(&self, settings: &Settings) -> Result<HashMap<PipelineName, Depth>> {
        let mut depths = HashMap::new();
        for stream in PipelineName::streams() {
            let topic = Topic::of(stream, settings);
            depths.insert(stream, self.unfinished_of(&topic, settings.claim_idle.0).await?);
        }
        Ok(depths)
    }

    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>> {
        either!(self, backend => backend.consumers(topic).await)
    }

    /// A page of the stream as it lies there, for `verify`: nothing is delivered or changed.
    pub async fn peek(
        &self,
        topic: &Topic,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        either!(self, backend => backend.peek(topic, lane, after, count).await)
    }
}

/// What operators have switched.
impl Broker {
    pub async fn switches(&self, topic: &Topic) -> Result<Switches> {
        either!(self, backend => backend.switches(topic).await)
    }

    /// Throws a switch, and says who has thrown it: whoever was first, but for a breaker's, which
    /// is thrown anew each time.
    pub async fn throw(&self, topic: &Topic, switch: &Switch, thrown: &Thrown) -> Result<Thrown> {
        either!(self, backend => backend.throw(topic, switch, thrown).await)
    }

    /// False where it was not thrown.
    pub async fn let_go(&self, topic: &Topic, switch: &Switch) -> Result<bool> {
        either!(self, backend => backend.let_go(topic, switch).await)
    }
}

/// For `doctor`.
impl Broker {
    /// Facts about the Redis behind this; `None` for the embedded broker.
    pub async fn inspect(&self, topic: &Topic) -> Result<Option<RedisFacts>> {
        match self {
            Self::Redis(redis) => redis.inspect(topic).await.map(Some),
            Self::Embedded(_) => Ok(None),
        }
    }
}

/// The cache: bytes with an expiry, nothing else.
impl Broker {
    /// The value and how long it still lives.
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>> {
        either!(self, backend => backend.cache_get(key).await)
    }

    pub async fn cache_set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        either!(self, backend => backend.cache_set(key, value, ttl).await)
    }

    /// How many unexpired values there are.
    pub async fn cache_len(&self) -> Result<u64> {
        either!(self, backend => backend.cache_len().await)
    }
}

/// Upstream quota: fixed UTC windows by the broker's clock, shared by every worker and the API.
impl Broker {
    /// Reserves `weight` in every window of `host`, or says until when it is shut. With
    /// `keep_back` a tenth of each window is left for interactive requests.
    pub async fn quota_reserve(
        &self,
        host: &str,
        limits: &QuotaLimits,
        weight: u64,
        keep_back: bool,
    ) -> Result<QuotaAnswer> {
        either!(self, backend => backend.quota_reserve(host, limits, weight, keep_back).await)
    }

    /// Corrects a reservation to what the provider counted: 1 for an error, 0 for a 429.
    pub async fn quota_settle(
        &self,
        host: &str,
        reservation: &Reservation,
        used: u64,
    ) -> Result<()> {
        either!(self, backend => backend.quota_settle(host, reservation, used).await)
    }

    /// Shuts `host` for everyone for `wait`, because the provider said so.
    pub async fn quota_shut(&self, host: &str, wait: Duration) -> Result<()> {
        either!(self, backend => backend.quota_shut(host, wait).await)
    }

    pub async fn quota_use(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUse> {
        either!(self, backend => backend.quota_use(host, limits).await)
    }

    /// Takes one of the `limit` places that the whole fleet has at `host`; it frees itself after
    /// `ttl` if its holder dies. False when all are taken.
    pub async fn slot_acquire(
        &self,
        host: &str,
        holder: &str,
        limit: u32,
        ttl: Duration,
    ) -> Result<bool> {
        either!(self, backend => backend.slot_acquire(host, holder, limit, ttl).await)
    }

    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()> {
        either!(self, backend => backend.slot_release(host, holder).await)
    }
}

/// Heartbeats: what each role says of itself, forgotten when it falls silent.
impl Broker {
    /// `name` is `<role>:<instance>`.
    pub async fn heartbeat(
        &self,
        name: &str,
        state: &serde_json::Value,
        ttl: Duration,
    ) -> Result<()> {
        either!(self, backend => backend.heartbeat(name, state, ttl).await)
    }

    pub async fn heartbeats(&self) -> Result<Vec<(String, serde_json::Value)>> {
        either!(self, backend => backend.heartbeats().await)
    }
}
