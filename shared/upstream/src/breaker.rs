//! Breaker: a circuit breaker for one upstream host.
//!
//! It opens at N failures within a window, if they are at least half of the calls. It also opens
//! when no call has succeeded for a whole window: few slow timeouts are as bad as many fast errors.
//! It stays open for a time that doubles while probes fail, and admits one probe at a time.
//!
//! The state machine is failsafe's. The policy is our own ([`FailureWindow`]), since failsafe has
//! none for "N within a window"; so is the single probe, since failsafe lets all waiting callers
//! through when half open. Answers that do not count as failures (429, other 4xx) are not recorded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use failsafe::{FailurePolicy, StateMachine};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use isobar_settings::values::BreakerSpec;

use crate::deadline::Deadline;

/// The longest time between two probes.
const LONGEST_OPEN: Duration = Duration::from_mins(10);
/// When a caller should retry while another one holds the probe.
const PROBE_TAKEN: TimeDelta = TimeDelta::milliseconds(500);
/// The most calls that a window remembers: a sample of this size is enough.
const MAX_CALLS: usize = 10_000;

/// Cheap to clone; clones are one breaker.
#[derive(Clone)]
pub struct Breaker {
    machine: StateMachine<FailureWindow, ()>,
    probe: Arc<Semaphore>,
    open: OpenUntil,
}

/// Until when the breaker is open: written by the policy, read by callers.
type OpenUntil = Arc<Mutex<Option<Deadline>>>;

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Breaker").field(&self.machine).finish()
    }
}

/// The right to one call. Consuming it records the outcome. Dropping it records nothing: the call
/// was cancelled, or its answer is not about the health of the host.
#[derive(Debug)]
pub struct Permit {
    breaker: Breaker,
    _probe: Option<OwnedSemaphorePermit>,
}

impl Breaker {
    pub fn new(spec: BreakerSpec) -> Self {
        let open = OpenUntil::default();
        let policy = FailureWindow::new(spec, open.clone());
        Self { machine: StateMachine::new(policy, ()), probe: Arc::new(Semaphore::new(1)), open }
    }

    /// The right to call; the error is the time of the next try.
    pub fn admit(&self) -> Result<Permit, DateTime<Utc>> {
        let Some(until) = self.last_opened_until() else {
            return Ok(Permit { breaker: self.clone(), _probe: None });
        };
        // It has opened and no probe has closed it yet: one call at a time.
        let Ok(probe) = Arc::clone(&self.probe).try_acquire_owned() else {
            return Err(retry_at(until));
        };
        if self.machine.is_call_permitted() {
            return Ok(Permit { breaker: self.clone(), _probe: Some(probe) });
        }
        Err(retry_at(until))
    }

    /// Until when every call is refused; `None` if a call may be admitted now.
    pub fn open_until(&self) -> Option<DateTime<Utc>> {
        self.last_opened_until()?.time()
    }

    /// Closes it as a successful probe does. A closed breaker keeps its counts.
    pub fn reset(&self) {
        self.machine.reset();
    }

    /// `closed`, `open` or `half_open`.
    pub fn state(&self) -> &'static str {
        match self.last_opened_until() {
            None => "closed",
            Some(until) if until.left().is_some() => "open",
            Some(_) => "half_open",
        }
    }

    fn last_opened_until(&self) -> Option<Deadline> {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a refused caller should try again.
fn retry_at(open_until: Deadline) -> DateTime<Utc> {
    let soon = Utc::now() + PROBE_TAKEN;
    open_until.time().map_or(soon, |until| until.max(soon))
}

impl Permit {
    pub fn succeeded(self) {
        self.breaker.machine.on_success();
    }

    pub fn failed(self) {
        self.breaker.machine.on_error();
    }
}

/// The failure policy: when the breaker opens, and for how long.
struct FailureWindow {
    spec: BreakerSpec,
    /// When each call within the window ended, and whether it failed.
    calls: VecDeque<(Instant, bool)>,
    /// The first failure since the last success.
    failing_since: Option<Instant>,
    next_open: Duration,
    open: OpenUntil,
}

impl FailureWindow {
    fn new(spec: BreakerSpec, open: OpenUntil) -> Self {
        Self { spec, calls: VecDeque::new(), failing_since: None, next_open: spec.open, open }
    }

    fn record(&mut self, failed: bool, now: Instant) {
        self.calls.push_back((now, failed));
        self.failing_since = failed.then(|| self.failing_since.unwrap_or(now));
        while self.calls.len() > MAX_CALLS
            || self.calls.front().is_some_and(|(at, _)| now.duration_since(*at) > self.spec.window)
        {
            self.calls.pop_front();
        }
    }

    fn is_failing(&self, now: Instant) -> bool {
        let failures = self.calls.iter().filter(|(_, failed)| *failed).count();
        let is_silent =
            self.failing_since.is_some_and(|since| now.duration_since(since) >= self.spec.window);
        is_silent || failures >= self.spec.failures as usize && failures * 2 >= self.calls.len()
    }

    fn set_open(&self, until: Option<Deadline>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl FailurePolicy for FailureWindow {
    fn record_success(&mut self) {
        self.record(false, Instant::now());
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        let probed = self.open.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let now = Instant::now();
        self.record(true, now);
        if !probed && !self.is_failing(now) {
            return None;
        }
        let open = self.next_open.min(LONGEST_OPEN);
        self.next_open = (open * 2).min(LONGEST_OPEN);
        self.set_open(Some(Deadline::after(open)));
        Some(open)
    }

    fn revived(&mut self) {
        self.calls.clear();
        self.failing_since = None;
        self.next_open = self.spec.open;
        self.set_open(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(failures: u32, open: Duration) -> BreakerSpec {
        BreakerSpec { failures, window: Duration::from_secs(30), open }
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.admit().expect("closed").failed();
        }
    }

    #[test]
    fn the_nth_failure_opens_it() {
        let breaker = Breaker::new(spec(20, Duration::from_secs(15)));
        fail(&breaker, 19);
        assert_eq!(breaker.state(), "closed");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), "open");
        let until = breaker.admit().expect_err("open");
        let wait = until - Utc::now();
        assert!((14..=15).contains(&wait.num_seconds()), "{wait}");
    }

    #[test]
    fn failures_among_many_successes_keep_it_closed() {
        let breaker = Breaker::new(spec(20, Duration::from_secs(15)));
        for _ in 0..30 {
            breaker.admit().expect("closed").succeeded();
        }
        fail(&breaker, 20);
        assert_eq!(breaker.state(), "closed");
    }

    #[test]
    fn a_window_without_success_opens_it() {
        let spec = spec(20, Duration::from_secs(15));
        let mut window = FailureWindow::new(spec, OpenUntil::default());
        let start = Instant::now();
        for seconds in [0, 10, 20] {
            window.record(true, start + Duration::from_secs(seconds));
            assert!(!window.is_failing(start + Duration::from_secs(seconds)));
        }
        window.record(true, start + Duration::from_secs(30));
        assert!(window.is_failing(start + Duration::from_secs(30)));
        window.record(false, start + Duration::from_secs(31));
        assert!(!window.is_failing(start + Duration::from_secs(31)));
    }

    #[test]
    fn a_reset_closes_it_at_once() {
        let breaker = Breaker::new(spec(1, Duration::from_secs(15)));
        fail(&breaker, 1);
        assert!(breaker.admit().is_err());
        breaker.reset();
        assert_eq!((breaker.state(), breaker.open_until()), ("closed", None));
        fail(&breaker, 1);
        let wait = breaker.open_until().expect("open again") - Utc::now();
        assert!((14..=15).contains(&wait.num_seconds()), "{wait}");
    }

    #[test]
    fn one_probe_runs_at_a_time() {
        let breaker = Breaker::new(spec(1, Duration::ZERO));
        fail(&breaker, 1);
        std::iter::repeat_with(|| breaker.state()).find(|state| *state == "half_open");
        let probe = until_admitted(&breaker);
        assert!(breaker.admit().is_err(), "a second probe");
        drop(probe);
        until_admitted(&breaker).succeeded();
        assert_eq!(breaker.state(), "closed");
    }

    #[test]
    fn the_open_time_doubles_while_probes_fail() {
        let (spec, open) = (spec(1, Duration::from_secs(400)), OpenUntil::default());
        let mut window = FailureWindow::new(spec, open);
        assert_eq!(window.mark_dead_on_failure(), Some(Duration::from_secs(400)));
        assert_eq!(window.mark_dead_on_failure(), Some(LONGEST_OPEN));
        window.revived();
        assert_eq!(window.mark_dead_on_failure(), Some(Duration::from_secs(400)));
    }

    /// failsafe admits a call only after its clock has advanced.
    fn until_admitted(breaker: &Breaker) -> Permit {
        std::iter::repeat_with(|| breaker.admit()).find_map(Result::ok).expect("a permit")
    }
}
