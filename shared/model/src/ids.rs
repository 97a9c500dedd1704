//! Ids, each with its own type, so the compiler finds a mix-up.
//!
//! Guarantees: job, task and reject ids are UUIDv5 of their meaning. The same source in the same
//! slot is the same job, and the same city in it the same task. So a repeated step names the same
//! rows, and repeats are harmless (I5). [`CityId`] is the source's own number, or a negative hash
//! where the source has none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The namespace of every UUIDv5 that Isobar derives. Changing it would rename all jobs.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d3c_7c1e_5b0a_4c55_9f14_6973_6f62_6172);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $name(pub $inner);

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )*
    };
}

ids! {
    /// One producer run or one import.
    JobId(Uuid);
    /// One city to fetch for one job; also the id of a reject, a row that could not become a task.
    TaskId(Uuid);
    /// A city's number: the source's own, or a negative hash of its name.
    CityId(i64);
    /// A user's number in the store.
    UserId(i64);
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

impl JobId {
    /// `identity` names the source (pipeline, kind, URL or content hash, limit, force), `slot` its
    /// run.
    pub fn derive(identity: &str, slot: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("job|{identity}|{slot}").as_bytes()))
    }

    pub fn task(self, city_key: &str) -> TaskId {
        TaskId(Uuid::new_v5(&self.0, format!("task|{city_key}").as_bytes()))
    }

    pub fn reject(self, row: u64) -> TaskId {
        TaskId(Uuid::new_v5(&self.0, format!("reject|{row}").as_bytes()))
    }
}

impl CityId {
    /// The id of a city without a number. It is negative, so it never equals a source's number.
    pub fn from_key(city_key: &str) -> Self {
        let digest = Sha256::digest(city_key.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        Self(-((i64::from_be_bytes(head) & i64::MAX).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_source_and_slot_give_the_same_ids() {
        let job = JobId::derive("weather|csv|abc", "2026-11-22T00:00:00Z");
        assert_eq!(job, JobId::derive("weather|csv|abc", "2026-11-22T00:00:00Z"));
        assert_ne!(job, JobId::derive("weather|csv|abc", "2026-11-23T00:00:00Z"));
        assert_eq!(job.task("2988507"), job.task("2988507"));
        assert_ne!(job.task("7"), job.reject(7));
    }

    #[test]
    fn a_city_without_a_number_gets_a_negative_id() {
        let id = CityId::from_key("paris|FR");
        assert!(id.0 < 0);
        assert_eq!(id, CityId::from_key("paris|FR"));
        assert_ne!(id, CityId::from_key("paris|US"));
    }
}
