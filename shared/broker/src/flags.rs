//! What operators have switched, as the broker keeps it for every role to see.
//!
//! A switch is thrown or it is not, and says by whom and when. Workers and relays look once a
//! second ([`SWITCHES_EVERY`]); nothing is sent to anyone, so whoever starts later sees the same. A
//! breaker's switch is never let go of: whoever sees a time there that is new to it closes its
//! breaker once.
//!
//! Switches survive restarts as the stream does, and are lost with it when everything is flushed.
//! Who may throw them, and what is written down about it: [`operate`](isobar_admin::actions).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use isobar_model::ids::JobId;

/// How often roles look at the switches: a pause takes that long to be seen.
pub const SWITCHES_EVERY: Duration = Duration::from_secs(1);

/// One thing that can be switched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// Nobody reads or claims entries.
    Reading,
    /// The job's entries are set aside, and no more of it are sent.
    Job(JobId),
    /// Whoever extracts the job seals it where it stands.
    Cancelled(JobId),
    /// Breakers of this upstream host are to be closed.
    Breaker(String),
}

/// By whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thrown {
    pub by: String,
    pub at: DateTime<Utc>,
}

/// All that is thrown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches(BTreeMap<Switch, Thrown>);

impl Switch {
    /// Its name in the broker.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Reading => "reading".to_owned(),
            Self::Job(job) => format!("job:{job}"),
            Self::Cancelled(job) => format!("cancelled:{job}"),
            Self::Breaker(host) => format!("breaker:{host}"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None => (name == "reading").then_some(Self::Reading),
            Some(("job", id)) => id.parse().ok().map(Self::Job),
            Some(("cancelled", id)) => id.parse().ok().map(Self::Cancelled),
            Some(("breaker", host)) => Some(Self::Breaker(host.to_owned())),
            Some(_) => None,
        }
    }

    /// Whether throwing it again replaces who threw it first: only a breaker's time is news.
    pub(super) fn is_renewed(&self) -> bool {
        matches!(self, Self::Breaker(_))
    }
}

impl Thrown {
    pub fn now(by: impl Into<String>) -> Self {
        Self { by: by.into(), at: Utc::now() }
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.by, self.at.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

impl Switches {
    /// From names and values as they lie in the broker; what a newer version wrote is passed over.
    pub(super) fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(
            pairs
                .filter_map(|(name, value)| {
                    Some((Switch::named(name)?, serde_json::from_str(value).ok()?))
                })
                .collect(),
        )
    }

    pub fn get(&self, switch: &Switch) -> Option<&Thrown> {
        self.0.get(switch)
    }

    pub fn reading(&self) -> Option<&Thrown> {
        self.get(&Switch::Reading)
    }

    pub fn job(&self, job: JobId) -> Option<&Thrown> {
        self.get(&Switch::Job(job))
    }

    pub fn cancelled(&self, job: JobId) -> Option<&Thrown> {
        self.get(&Switch::Cancelled(job))
    }

    pub fn breaker(&self, host: &str) -> Option<&Thrown> {
        self.get(&Switch::Breaker(host.to_owned()))
    }

    /// Everything that concerns one job.
    pub fn of_jobs(&self) -> impl Iterator<Item = (JobId, &Switch, &Thrown)> {
        self.0.iter().filter_map(|(switch, thrown)| match switch {
            Switch::Job(job) | Switch::Cancelled(job) => Some((*job, switch, thrown)),
            Switch::Reading | Switch::Breaker(_) => None,
        })
    }

    /// Whether a breaker was reset that had not been, or not then, when `before` was read.
    pub fn has_resets_since(&self, before: &Self) -> bool {
        self.0.iter().any(|(switch, thrown)| {
            matches!(switch, Switch::Breaker(_)) && before.get(switch) != Some(thrown)
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
    fn a_switch_survives_its_name_and_what_a_newer_version_wrote_is_passed_over() {
        let job = JobId::derive("test", "slot");
        let thrown = serde_json::to_string(&Thrown::now("cli ada@host")).expect("plain data");
        for switch in [
            Switch::Reading,
            Switch::Job(job),
            Switch::Cancelled(job),
            Switch::Breaker("127.0.0.1:8090".into()),
        ] {
            let name = switch.name();
            let pairs = [(name.as_str(), thrown.as_str()), ("brake:x", &thrown), ("job:x", "{}")];
            let read = Switches::read(pairs.into_iter());
            assert_eq!(read.len(), 1);
            assert_eq!(read.get(&switch).map(|thrown| thrown.by.as_str()), Some("cli ada@host"));
        }
    }

    #[test]
    fn only_a_reset_with_a_new_time_is_news() {
        let host = || Switch::Breaker("host".into());
        let one = Switches([(host(), Thrown::now("a"))].into());
        let again = Thrown { by: "a".into(), at: Utc::now() + chrono::TimeDelta::seconds(1) };
        let two = Switches([(host(), again), (Switch::Reading, Thrown::now("a"))].into());
        assert!(one.has_resets_since(&Switches::default()) && two.has_resets_since(&one));
        assert!(!one.has_resets_since(&one) && !Switches::default().has_resets_since(&one));
    }
}
