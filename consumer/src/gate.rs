//! Holds reading back while there is nothing to do but wait (I7).
//!
//! A shut quota or an open breaker closes the gate until a moment that the upstream client
//! knows. A configuration that only a person can mend closes it too; then one small batch is let
//! through now and again to see whether it has been mended. Entries in hand are given back
//! without an attempt, and no more are read or claimed meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_upstream::Waiting;

/// Pause before a wrong configuration is tried again: doubles from the first to the last.
const FIRST_PROBE: Duration = Duration::from_secs(5);
const LAST_PROBE: Duration = Duration::from_mins(5);

/// One per worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    shut: Option<(DateTime<Utc>, Reason)>,
    /// How often in a row the configuration was found wrong.
    config_failures: u32,
}

/// Why the gate is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Waiting(Waiting),
    Config(String),
    /// An operator wants it so: who, and since when.
    Paused(String),
}

impl Reason {
    /// Every [`label`](Self::label) there is.
    pub const LABELS: [&'static str; 6] =
        ["quota", "breaker", "concurrency", "store", "config", "operator"];

    /// One word for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Waiting(why) => why.as_str(),
            Self::Config(_) => "config",
            Self::Paused(_) => "operator",
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Self::Waiting(why) => why.describe().to_owned(),
            Self::Config(reason) => format!("the configuration needs a person: {reason}"),
            Self::Paused(who) => format!("reading was paused by {who}"),
        }
    }
}

impl Gate {
    pub fn wait_until(&self, until: DateTime<Utc>, why: Waiting) {
        let mut state = self.lock();
        let later = state.shut.as_ref().is_none_or(|(shut_until, _)| *shut_until < until);
        if later {
            state.shut = Some((until, Reason::Waiting(why)));
        }
    }

    pub fn misconfigured(&self, reason: String, now: DateTime<Utc>) {
        let mut state = self.lock();
        if state.shut.as_ref().is_some_and(|(until, _)| *until > now) {
            return;
        }
        let pause = (FIRST_PROBE * 2_u32.pow(state.config_failures.min(8))).min(LAST_PROBE);
        state.config_failures += 1;
        state.shut =
            Some((now + TimeDelta::from_std(pause).unwrap_or_default(), Reason::Config(reason)));
    }

    /// A request went through: the configuration is right.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        state.config_failures = 0;
        if matches!(state.shut, Some((_, Reason::Config(_)))) {
            state.shut = None;
        }
    }

    /// An operator has reset a breaker: nothing waits for its time any more.
    pub fn breaker_was_reset(&self) {
        let mut state = self.lock();
        if matches!(state.shut, Some((_, Reason::Waiting(Waiting::Breaker)))) {
            state.shut = None;
        }
    }

    /// Until when and why no entry may be read, if that is so now.
    pub fn shut(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Reason)> {
        self.lock().shut.clone().filter(|(until, _)| *until > now)
    }

    /// Whether the configuration was wrong the last time it was tried.
    pub fn is_probing(&self) -> bool {
        self.lock().config_failures > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_is_probed_ever_more_rarely_until_it_is_right() {
        let gate = Gate::default();
        let now = Utc::now();
        gate.misconfigured("401".into(), now);
        let (first, _) = gate.shut(now).expect("shut");
        gate.misconfigured("401".into(), now);
        assert_eq!(gate.shut(now).expect("shut").0, first, "requests in flight count once");
        gate.misconfigured("401".into(), first);
        assert!(gate.shut(first).expect("shut").0 - first > first - now);
        gate.succeeded();
        assert!(gate.shut(first).is_none() && !gate.is_probing());
    }
}
