//! Gate: stops reading while a worker can only wait (I7).
//!
//! An exhausted quota or an open breaker closes the gate until a known time. A wrong configuration
//! closes it, too; after growing pauses one small batch is let through to test it.
//!
//! Guarantees: while the gate is closed, entries are given back without an attempt, and no entry
//! is read or claimed. A wait is a duration: setting the clock of the host does not change it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{FLAGS_REFRESH, Flags};
use isobar_upstream::{Deadline, WaitReason};

/// The pause before a wrong configuration is tested again: doubles from the first to the last.
const FIRST_PROBE: Duration = Duration::from_secs(5);
const LAST_PROBE: Duration = Duration::from_mins(5);

/// One per worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ReadGate {
    state: Arc<Mutex<GateState>>,
}

#[derive(Debug, Default)]
struct GateState {
    closed: Option<(Deadline, PauseReason)>,
    /// Tests in a row that found the configuration wrong.
    config_failures: u32,
}

/// Why reading has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PauseReason {
    WaitReason(WaitReason),
    Config(String),
    /// Paused by an operator: who, and since when.
    Paused(String),
}

impl PauseReason {
    /// All values of [`label`](Self::label).
    pub const LABELS: [&'static str; 6] =
        ["quota", "breaker", "concurrency", "store", "config", "operator"];

    /// The value of the metrics' label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::WaitReason(why) => why.as_str(),
            Self::Config(_) => "config",
            Self::Paused(_) => "operator",
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Self::WaitReason(why) => why.describe().to_owned(),
            Self::Config(reason) => format!("the configuration needs an operator: {reason}"),
            Self::Paused(who) => format!("reading was paused by {who}"),
        }
    }
}

/// Until when operators have paused reading: the next refresh of the flags.
pub fn paused_until(flags: &Flags, now: DateTime<Utc>) -> Option<(DateTime<Utc>, PauseReason)> {
    let flag = flags.reading()?;
    Some((now + FLAGS_REFRESH, PauseReason::Paused(flag.to_string())))
}

impl ReadGate {
    pub fn close_until(&self, until: DateTime<Utc>, why: WaitReason) {
        let until = Deadline::at(until);
        let mut state = self.lock();
        let is_later = state.closed.as_ref().is_none_or(|(closed_until, _)| *closed_until < until);
        if is_later {
            state.closed = Some((until, PauseReason::WaitReason(why)));
        }
    }

    pub fn misconfigured(&self, reason: String) {
        let mut state = self.lock();
        if state.closed.as_ref().is_some_and(|(until, _)| until.left().is_some()) {
            return;
        }
        let pause = (FIRST_PROBE * 2_u32.pow(state.config_failures.min(8))).min(LAST_PROBE);
        state.config_failures += 1;
        state.closed = Some((Deadline::after(pause), PauseReason::Config(reason)));
    }

    /// A request succeeded: the configuration is right.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        state.config_failures = 0;
        if matches!(state.closed, Some((_, PauseReason::Config(_)))) {
            state.closed = None;
        }
    }

    /// An operator has reset a breaker: the wait for it ends.
    pub fn breaker_was_reset(&self) {
        let mut state = self.lock();
        if matches!(state.closed, Some((_, PauseReason::WaitReason(WaitReason::Breaker)))) {
            state.closed = None;
        }
    }

    /// Until when and why no entry may be read; `None` while the gate is open.
    pub fn closed_until(&self) -> Option<(DateTime<Utc>, PauseReason)> {
        let (until, reason) = self.lock().closed.clone()?;
        Some((until.time()?, reason))
    }

    /// Whether the last test found the configuration wrong.
    pub fn is_probing(&self) -> bool {
        self.lock().config_failures > 0
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_is_tested_ever_more_rarely() {
        let gate = ReadGate::default();
        let left = || gate.lock().closed.as_ref().and_then(|(until, _)| until.left());
        gate.misconfigured("401".into());
        let first = left().expect("closed");
        gate.misconfigured("401".into());
        assert!(left().expect("closed") <= first, "requests in flight count once");
        // The pause is over.
        gate.lock().closed = None;
        gate.misconfigured("401".into());
        assert!(left().expect("closed") > first);
        gate.succeeded();
        assert!(gate.closed_until().is_none() && !gate.is_probing());
    }
}
