//! What goes into and comes out of a broker, the same for both backends.
//!
//! Plain values: no connection, no clock. The error type decides transience once, here; who
//! waits how long for it stands in ARCHITECTURE.md, "Who retries what".

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use isobar_model::ids::JobId;
use isobar_model::task::Fields;

/// Tasks and what travels beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Tasks,
    Control,
}

impl Lane {
    pub const BOTH: [Self; 2] = [Self::Tasks, Self::Control];
}

/// An entry's place in its stream; later entries are greater. Written `<ms>-<seq>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl EntryId {
    pub const ZERO: Self = Self { ms: 0, seq: 0 };
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { ms: ms.parse()?, seq: seq.parse()? })
    }
}

impl Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A task or control message as the stream delivered it to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub lane: Lane,
    pub id: EntryId,
    pub fields: Fields,
    /// How often it was handed out, this time included; taken back when it is given back.
    pub deliveries: u32,
    /// How often it was tried and failed in a way that may pass.
    pub attempts: u32,
}

/// One frozen batch on its way into the stream. Payloads are JSON arrays of names and values in
/// turn, exactly as the outbox froze them.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    pub job_id: JobId,
    /// Dense, from 1.
    pub seq: u64,
    /// The chained hash of this batch, and of the one before it (empty before the first).
    pub hash: &'a str,
    pub previous_hash: &'a str,
    /// The lowest batch of this job that is not confirmed: where to start if the stream knows
    /// nothing of the job.
    pub floor: u64,
    pub high_water: u64,
    pub tasks: &'a [&'a str],
    pub control: &'a [&'a str],
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq)]
pub enum Appended {
    Sent(Receipt),
    /// It was there already; the receipt spans where its entries may still be.
    Duplicate(Receipt),
    /// Another content was sent under this number, or before it. Nothing was written.
    Conflict,
    /// The stream has not seen the batches before. Nothing was written; go on with `expected`.
    Gap {
        expected: u64,
    },
    /// It would pass the high-water mark. Nothing was written.
    Full {
        unfinished: u64,
    },
}

/// Where in the stream a batch went, and in which life of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub epoch: String,
    pub tasks: Option<Span>,
    pub control: Option<Span>,
}

/// First and last entry, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub first: EntryId,
    pub last: EntryId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healed {
    pub epoch: String,
    /// Whether anything was missing.
    pub recreated: bool,
}

/// How far jobs got in this life of the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watermarks {
    /// `None` when the stream is not there at all.
    pub epoch: Option<String>,
    pub last_seq: HashMap<JobId, u64>,
}

/// How far a scan got; starts at the beginning and wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position(pub EntryId);

/// How much a claim may take.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimits {
    pub claim_idle: Duration,
    /// Entries of few deliveries.
    pub count: usize,
    /// Entries whose coming delivery is number `suspect_from` or later: they run alone, so a
    /// worker takes only as many as it can start right now.
    pub suspects: usize,
    pub suspect_from: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct GiveBack {
    pub id: EntryId,
    pub delay: Duration,
    /// Whether this was an attempt that failed (I7).
    pub attempt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// It owns entries.
    Busy,
    /// It was active lately.
    Active,
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Unfinished tasks: undelivered and pending.
    pub tasks: u64,
    /// Unfinished control messages.
    pub control: u64,
    /// Of both lanes, those that nobody has had yet.
    pub undelivered: u64,
    /// Of both lanes, those that someone owns or that were given back.
    pub pending: u64,
    /// Of the pending ones, those that are set aside because their job is paused.
    pub parked: u64,
    /// How long ago the oldest pending entry was appended.
    pub oldest_pending_ms: u64,
    /// The same of the oldest that nobody has had yet.
    pub oldest_undelivered_ms: u64,
    /// When the next pending entry may be claimed; `None` when nothing is pending.
    pub next_due_ms: Option<u64>,
}

impl Depth {
    pub fn is_empty(&self) -> bool {
        self.tasks == 0 && self.control == 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerInfo {
    pub name: String,
    pub pending: u64,
    pub idle_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum QuotaAnswer {
    Granted(Reservation),
    Shut { until: DateTime<Utc> },
}

/// What was reserved, and when by the broker's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reservation {
    pub weight: u64,
    pub at_ms: u64,
}

/// What `doctor` judges a Redis by; `None` where the server does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFacts {
    pub version: String,
    pub time_ms: u64,
    /// Consumer groups on the task stream.
    pub groups: Vec<GroupFacts>,
    pub append_only: Option<String>,
    pub eviction: Option<String>,
}

/// One consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    pub name: String,
    /// Entries that it has not finished and that are not in the stream any more; unknown where the
    /// server does not tell. Our workers acknowledge and remove in one step, so somebody else did it.
    pub lost: Option<u64>,
}

/// What can go wrong, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not answering, or not as a primary: redial and try again.
    #[error("{broker} is not answering at {location}")]
    Unavailable {
        broker: &'static str,
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// There, but loading or between primaries: wait on the same connection.
    #[error("{location} is not ready yet")]
    NotReady {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// It takes no writes that need room: stop producing, keep draining.
    #[error("{location} has no room or cannot persist")]
    NoRoom {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// The stream or its group is gone: heal.
    #[error("the stream {stream} or its group is missing")]
    Missing { stream: String },
    /// Only a person can mend this: exit 78.
    #[error("{location} refuses us: {detail}")]
    Refused { location: String, detail: String },
    /// The backend said what it should not; a defect or a foreign hand.
    #[error("unexpected answer from {location}")]
    Unexpected {
        location: String,
        #[source]
        source: anyhow::Error,
    },
}

impl BrokerError {
    /// Whether waiting may mend it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::NotReady { .. }
                | Self::NoRoom { .. }
                | Self::Missing { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_order_as_numbers_and_survive_their_text() {
        let small: EntryId = "999-10".parse().expect("parses");
        let large: EntryId = "1000-2".parse().expect("parses");
        assert!(small < large);
        assert_eq!(large.to_string(), "1000-2");
        assert_eq!(serde_json::to_string(&large).expect("serialises"), "\"1000-2\"");
        assert!("x-1".parse::<EntryId>().is_err());
    }
}
