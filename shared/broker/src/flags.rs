//! Operator flags, which the broker keeps for every role to read.
//!
//! Guarantees: a flag records who set it and when. Workers and relays poll once a second
//! ([`FLAGS_REFRESH`]), so a process that starts later sees the same flags. Flags survive
//! restarts as the stream does, and are lost with it when the server is flushed.
//! A breaker reset is never cleared: a process that sees a new time there closes its breaker once.
//! Does not: decide who may set a flag, or write the audit log (see `admin/actions.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use isobar_model::ids::JobId;

/// How often roles poll the flags: a pause takes effect after this time at the latest.
pub const FLAGS_REFRESH: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Workers do not read or claim entries.
    WorkersPaused,
    /// The entries of the job are parked, and no more of its batches are sent.
    JobPaused(JobId),
    /// The process that extracts the job seals it at its current row.
    JobCancelled(JobId),
    /// Workers close their breaker of this upstream host.
    BreakerReset(String),
}

/// Who set a flag, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBy {
    pub by: String,
    pub at: DateTime<Utc>,
}

/// All flags that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<Flag, SetBy>);

impl Flag {
    /// Its name in the broker.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::WorkersPaused => "reading".to_owned(),
            Self::JobPaused(job) => format!("job:{job}"),
            Self::JobCancelled(job) => format!("cancelled:{job}"),
            Self::BreakerReset(host) => format!("breaker:{host}"),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None => (name == "reading").then_some(Self::WorkersPaused),
            Some(("job", id)) => id.parse().ok().map(Self::JobPaused),
            Some(("cancelled", id)) => id.parse().ok().map(Self::JobCancelled),
            Some(("breaker", host)) => Some(Self::BreakerReset(host.to_owned())),
            Some(_) => None,
        }
    }

    /// Whether setting it again replaces author and time. The time of a breaker reset matters: each
    /// new time is a new reset.
    pub(crate) fn is_replaced_on_set(&self) -> bool {
        matches!(self, Self::BreakerReset(_))
    }
}

impl SetBy {
    pub fn now(by: impl Into<String>) -> Self {
        Self { by: by.into(), at: Utc::now() }
    }
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.by, self.at.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

impl Flags {
    /// Reads stored names and values; ignores flags that a newer version wrote.
    pub(crate) fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(
            pairs
                .filter_map(|(name, value)| {
                    Some((Flag::parse(name)?, serde_json::from_str(value).ok()?))
                })
                .collect(),
        )
    }

    pub fn get(&self, flag: &Flag) -> Option<&SetBy> {
        self.0.get(flag)
    }

    pub fn reading(&self) -> Option<&SetBy> {
        self.get(&Flag::WorkersPaused)
    }

    /// Who paused the job. A cancelled job is not paused: its rows must reach a worker to end.
    pub fn job(&self, job: JobId) -> Option<&SetBy> {
        self.get(&Flag::JobPaused(job)).filter(|_| self.cancelled(job).is_none())
    }

    pub fn cancelled(&self, job: JobId) -> Option<&SetBy> {
        self.get(&Flag::JobCancelled(job))
    }

    pub fn breaker(&self, host: &str) -> Option<&SetBy> {
        self.get(&Flag::BreakerReset(host.to_owned()))
    }

    /// The flags of jobs: paused and cancelled ones.
    pub fn of_jobs(&self) -> impl Iterator<Item = (JobId, &Flag, &SetBy)> {
        self.0.iter().filter_map(|(flag, set_by)| match flag {
            Flag::JobPaused(job) | Flag::JobCancelled(job) => Some((*job, flag, set_by)),
            Flag::WorkersPaused | Flag::BreakerReset(_) => None,
        })
    }

    /// Whether a breaker was reset after `before` was read.
    pub fn has_resets_since(&self, before: &Self) -> bool {
        self.0.iter().any(|(flag, set_by)| {
            matches!(flag, Flag::BreakerReset(_)) && before.get(flag) != Some(set_by)
        })
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_back_and_unknown_ones_are_ignored() {
        let job = JobId::derive("test", "slot");
        let set_by = serde_json::to_string(&SetBy::now("cli ada@host")).expect("plain data");
        for flag in [
            Flag::WorkersPaused,
            Flag::JobPaused(job),
            Flag::JobCancelled(job),
            Flag::BreakerReset("127.0.0.1:8090".into()),
        ] {
            let name = flag.name();
            let pairs = [(name.as_str(), set_by.as_str()), ("brake:x", &set_by), ("job:x", "{}")];
            let read = Flags::read(pairs.into_iter());
            assert_eq!(read.len(), 1);
            assert_eq!(read.get(&flag).map(|set_by| set_by.by.as_str()), Some("cli ada@host"));
        }
    }

    #[test]
    fn only_a_reset_with_a_new_time_counts() {
        let host = || Flag::BreakerReset("host".into());
        let one = Flags([(host(), SetBy::now("a"))].into());
        let later = SetBy { by: "a".into(), at: Utc::now() + chrono::TimeDelta::seconds(1) };
        let two = Flags([(host(), later), (Flag::WorkersPaused, SetBy::now("a"))].into());
        assert!(one.has_resets_since(&Flags::default()) && two.has_resets_since(&one));
        assert!(!one.has_resets_since(&one) && !Flags::default().has_resets_since(&one));
    }
}
