//! Seam 1: the stream between producer and workers, and the small state that roles share.
//!
//! Guarantees: [`Broker`] promises the same over Redis Streams and over a SQLite file; one
//! conformance suite (`tests/it/broker.rs`) tests both. An entry has an owner, a due time, a number
//! of deliveries and a number of attempts. Nothing unprocessed is trimmed or expired (I6); a full
//! stream refuses appends.
//! Does not: retry (the caller knows how long it may wait), interpret fields (see
//! [`task`](isobar_model::task)) or know the store.
//! Next: [`keys`] (every Redis key), then the two backends, [`redis`] and [`embedded`].

mod append;
mod depth;
pub mod embedded;
mod entry;
mod error;
mod flags;
pub mod keys;
mod lane;
mod quota;
pub mod redis;
mod redis_info;
mod redis_role;
mod topic;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

pub use append::{AppendBatch, AppendOutcome, BatchRecord, HealOutcome, Publisher};
pub use depth::{ConsumerInfo, Depth, RemoveOutcome};
pub use entry::{Budget, ClaimLimits, Entry, GiveBack, ScanCursor};
pub use error::BrokerError;
pub use flags::{FLAGS_REFRESH, Flag, Flags, SetBy};
pub use lane::{EntryId, Lane};
pub use quota::{QuotaDecision, Reservation};
pub use redis_info::{GroupInfo, RedisInfo};
pub use redis_role::RedisRole;
pub use topic::Topic;

use self::error::Result;
use self::keys::{PARKED, RETURNED};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::quota::{QuotaLimits, QuotaUsage};
use isobar_settings::Settings;

/// The one way to the stream, the cache, the quota windows and the heartbeats. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Broker {
    Redis(redis::RedisBroker),
    Embedded(embedded::EmbeddedBroker),
}

/// A publisher that is silent for this long has ended: a relay reports every 30 s.
pub const PUBLISHER_LEASE: Duration = Duration::from_mins(2);

/// Why `store` must not be used with a stream that belongs to `owner`; `None` if both are the same
/// store. Each is an id, and words for people after it.
pub fn store_conflict(stream: &str, owner: &str, store: &str) -> Option<String> {
    let is_same = owner.split(' ').next() == store.split(' ').next();
    (!is_same).then(|| {
        format!(
            "the stream {stream} belongs to another store ({owner}); this one is {store}. Set DATABASE_URL to the store of the stream, or run `isobar adopt` if the data has moved here"
        )
    })
}

/// How long the stream knows who has published a job that has ended.
pub const ENDED_KEPT: Duration = Duration::from_hours(30 * 24);

/// The embedded broker's file in the data dir.
pub const EMBEDDED_FILE: &str = "broker.db";

impl Broker {
    /// Opens the broker that the settings name. Redis is dialled on first use, so a role may start
    /// before its Redis. An embedded file is opened at once; its folder is created if needed.
    pub fn open(settings: &Settings) -> Result<Self> {
        if let Some(url) = settings.redis_url.as_ref().filter(|_| !settings.embedded_broker()) {
            return redis::RedisBroker::open(url, settings).map(Self::Redis);
        }
        embedded::EmbeddedBroker::open(&settings.data_file(EMBEDDED_FILE)).map(Self::Embedded)
    }

    /// `redis` or `embedded`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Embedded(_) => "embedded",
        }
    }

    /// The address or path, without secrets: `127.0.0.1:6379`.
    pub fn location(&self) -> String {
        match self {
            Self::Redis(redis) => redis.location(),
            Self::Embedded(embedded) => embedded.location(),
        }
    }

    /// Gives entries back, each to fall due after its delay (at most the claim idle). This takes
    /// the delivery off, and counts only what [`GiveBack::counted`] says (I7).
    /// Returns the entries that `consumer` did not own any more; they stay unchanged.
    pub async fn give_back(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        entries: &[GiveBack],
        claim_idle: Duration,
    ) -> Result<Vec<EntryId>> {
        self.hand_over(topic, consumer, RETURNED, lane, entries, claim_idle).await
    }

    /// Parks entries of a paused job until the claim idle is over. This takes the delivery off and
    /// counts no attempt (I7). Parked entries do not count against the high-water mark, up to as
    /// many again as that mark: a paused job must not block the others.
    /// Returns the entries that `consumer` did not own any more.
    pub async fn park(
        &self,
        topic: &Topic,
        consumer: &str,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        let back = |id: &EntryId| GiveBack { id: *id, delay: Duration::ZERO, counted: None };
        let entries: Vec<GiveBack> = ids.iter().map(back).collect();
        // An idle time of zero falls due after a whole claim idle.
        self.hand_over(topic, consumer, PARKED, Lane::Tasks, &entries, Duration::ZERO).await
    }

    /// Like [`depth`](Self::depth), but a stream that does not exist yet is empty.
    pub async fn unfinished_of(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        match self.depth(topic, claim_idle).await {
            Err(BrokerError::Missing { .. }) => Ok(Depth::default()),
            depth => depth,
        }
    }

    /// Says that the workers of a stream write to `store`. Refused if they write to another one: what
    /// one installation has committed would be missing from the other.
    pub async fn claim_store(&self, topic: &Topic, store: &str) -> Result<()> {
        let owner = self.set_store(topic, store, false).await?;
        let conflict = owner.and_then(|owner| store_conflict(&topic.stream, &owner, store));
        match conflict {
            Some(detail) => Err(BrokerError::Refused { location: self.location(), detail }),
            None => Ok(()),
        }
    }

    /// The backlog of each stream.
    pub async fn depths(&self, settings: &Settings) -> Result<HashMap<PipelineName, Depth>> {
        let mut depths = HashMap::new();
        for stream in PipelineName::streams() {
            let topic = Topic::of(stream, settings);
            depths.insert(stream, self.unfinished_of(&topic, settings.claim_idle.0).await?);
        }
        Ok(depths)
    }

    /// What kind of Redis server this is; `None` if it is down or does not say, and for the embedded
    /// broker.
    pub async fn role(&self) -> Option<RedisRole> {
        match self {
            Self::Redis(redis) => redis.role().await,
            Self::Embedded(_) => None,
        }
    }

    /// Fails if the login at Redis may not use every kind of key.
    pub async fn check_rights(&self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.check_rights().await,
            Self::Embedded(_) => Ok(()),
        }
    }

    /// Facts about the Redis server, for `doctor`; `None` for the embedded broker.
    pub async fn inspect(&self, topic: &Topic) -> Result<Option<RedisInfo>> {
        match self {
            Self::Redis(redis) => redis.inspect(topic).await.map(Some),
            Self::Embedded(_) => Ok(None),
        }
    }
}

/// Each signature calls the method of the same name and signature of the backend in use.
macro_rules! delegate {
    ($(
        $(#[$doc:meta])*
        $vis:vis async fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $output:ty;
    )*) => {
        impl Broker {
            $(
                $(#[$doc])*
                $vis async fn $name(&self $(, $argument: $type)*) -> $output {
                    match self {
                        Self::Redis(redis) => redis.$name($($argument),*).await,
                        Self::Embedded(embedded) => embedded.$name($($argument),*).await,
                    }
                }
            )*
        }
    };
}

delegate! {
    pub async fn ping(&self) -> Result<()>;

    // The stream, for producers.

    /// Repairs an incomplete stream and leaves a complete one unchanged. Where a group is missing,
    /// both groups are created at the very beginning, and watermarks, records of batches and attempts
    /// are cleared. So every relay sends again what is not confirmed.
    pub async fn heal(&self, topic: &Topic) -> Result<HealOutcome>;

    /// Appends one frozen batch, whole or not at all, and at most once (I1, I2). The job's
    /// watermark decides. A batch that is known to be lost is appended again.
    /// [`BrokerError::Missing`] asks for [`heal`](Self::heal).
    pub async fn append(&self, topic: &Topic, batch: &AppendBatch<'_>) -> Result<AppendOutcome>;

    /// What is known of appended batches of a job; `None` for a batch that the stream has lost.
    /// Notes that `outbox` is still at work on the job, if it is the one that publishes it.
    pub async fn batch_records(
        &self, topic: &Topic, job: JobId, outbox: &str, seqs: &[u64]
    ) -> Result<Vec<Option<BatchRecord>>>;

    /// The outbox that publishes a job, or has published it in the last [`ENDED_KEPT`].
    pub async fn publisher(&self, topic: &Topic, job: JobId) -> Result<Option<Publisher>>;

    /// Makes `outbox` the publisher of a job. False if `from` is not its publisher any more.
    pub async fn take_over(
        &self, topic: &Topic, job: JobId, from: &str, outbox: &str
    ) -> Result<bool>;

    /// Drops the records of confirmed batches.
    pub async fn forget_batches(
        &self, topic: &Topic, job: JobId, seqs: RangeInclusive<u64>
    ) -> Result<()>;

    /// Drops what the stream knows of a job whose batches are all confirmed. Its watermark and its
    /// publisher stay for [`ENDED_KEPT`]: another outbox may come with the same job.
    pub async fn end_job(&self, topic: &Topic, job: JobId) -> Result<()>;

    /// Drops the watermark of a job, so that it may start at its floor again.
    pub async fn drop_watermark(&self, topic: &Topic, job: JobId) -> Result<()>;

    // The store of the stream.

    /// The store that the workers of a stream write to.
    pub async fn store(&self, topic: &Topic) -> Result<Option<String>>;

    /// Sets it where it is not set, or in any case with `replace`. Returns the one before.
    pub async fn set_store(
        &self, topic: &Topic, store: &str, replace: bool
    ) -> Result<Option<String>>;

    // The stream, for workers.

    /// Takes up to `count` undelivered entries of both lanes together; waits up to `wait` for the
    /// first one. Never drop this future half-way: the entries that it took would stay unseen with
    /// this consumer until `owned` finds them.
    pub async fn read(
        &self, topic: &Topic, consumer: &str, count: usize, wait: Duration
    ) -> Result<Vec<Entry>>;

    /// Entries that `consumer` owns, in order, from the one after `after`. After a lost reply this
    /// finds what was delivered; the caller skips the entries that it already has.
    pub async fn entries_of(
        &self, topic: &Topic, consumer: &str, lane: Lane, after: EntryId, count: usize
    ) -> Result<Vec<Entry>>;

    /// Deletes entries whose result is committed (I3) and what was counted of them; the owner does
    /// not matter.
    /// Returns how many were still in the stream.
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64>;

    /// Restarts the leases of `ids` that `consumer` still owns. Returns the others.
    pub async fn renew(
        &self, topic: &Topic, consumer: &str, lane: Lane, ids: &[EntryId]
    ) -> Result<Vec<EntryId>>;

    /// Takes over due entries (their owner is silent, or they were given back), each as one more
    /// delivery. `position` moves through the pending entries and wraps at the end, so a busy head
    /// never starves the tail.
    pub async fn claim(
        &self, topic: &Topic, consumer: &str, lane: Lane, position: &mut ScanCursor,
        limits: ClaimLimits
    ) -> Result<Vec<Entry>>;

    /// Gives entries to the constant consumer `to`, as [`give_back`](Self::give_back) describes.
    async fn hand_over(
        &self, topic: &Topic, consumer: &str, to: &'static str, lane: Lane, entries: &[GiveBack],
        claim_idle: Duration
    ) -> Result<Vec<EntryId>>;

    /// Finds delivered entries without an owner (an operator deleted a consumer) in one page of the
    /// stream after `position`, and makes them due at once. Returns how many it found.
    pub async fn adopt_orphans(
        &self, topic: &Topic, lane: Lane, position: &mut ScanCursor, claim_idle: Duration
    ) -> Result<u64>;

    /// Removes a consumer's name if it owns nothing in either lane and has been idle for `idle`.
    pub async fn remove_consumer(
        &self, topic: &Topic, consumer: &str, idle: Duration
    ) -> Result<RemoveOutcome>;

    // The stream, read only.

    /// How much is unfinished, and when the next entry falls due.
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth>;

    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>>;

    /// A page of the stream as stored, for `verify`. Deliveries and attempts are 0.
    pub async fn peek(
        &self, topic: &Topic, lane: Lane, after: EntryId, count: usize
    ) -> Result<Vec<Entry>>;

    // Flags of operators.

    pub async fn flags(&self, topic: &Topic) -> Result<Flags>;

    /// Sets a flag and returns who has set it. The first one stays, except for a breaker reset: its
    /// latest one replaces the one before.
    pub async fn set_flag(&self, topic: &Topic, flag: &Flag, set_by: &SetBy) -> Result<SetBy>;

    /// Clears a flag; false where it was not set.
    pub async fn clear_flag(&self, topic: &Topic, flag: &Flag) -> Result<bool>;

    // The cache: bytes with an expiry.

    /// The value, and the time until it expires.
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>>;

    pub async fn cache_set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()>;

    /// The number of unexpired values.
    pub async fn cache_len(&self) -> Result<u64>;

    // Upstream quota: fixed UTC windows by the broker's clock, shared by all workers and the API.

    /// Reserves `weight` in every window of `host`, or returns when there is room again. With
    /// `keep_interactive_reserve` a tenth of each window stays free for interactive requests.
    pub async fn quota_reserve(
        &self, host: &str, limits: &QuotaLimits, weight: u64, keep_interactive_reserve: bool
    ) -> Result<QuotaDecision>;

    /// Corrects a reservation to what the provider counted: 1 for an error, 0 for a 429.
    pub async fn quota_correct(&self, host: &str, reservation: &Reservation, used: u64) -> Result<()>;

    /// Blocks `host` for all processes for `wait`, because the provider asked for it.
    pub async fn quota_block(&self, host: &str, wait: Duration) -> Result<()>;

    pub async fn quota_usage(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUsage>;

    /// Takes one of the `limit` slots that all processes share at `host`; false when all are taken.
    /// A slot expires after `ttl`, in case its holder dies.
    pub async fn slot_acquire(
        &self, host: &str, holder: &str, limit: u32, ttl: Duration
    ) -> Result<bool>;

    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()>;

    // Heartbeats: the state that a process reports. It expires when the process stops reporting.

    /// `name` is `<role>:<instance>`.
    pub async fn heartbeat(&self, name: &str, state: &Value, ttl: Duration) -> Result<()>;

    pub async fn heartbeats(&self) -> Result<Vec<(String, Value)>>;
}
