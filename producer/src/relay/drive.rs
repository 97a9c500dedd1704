//! The patience around [`Relay::step`]: who waits how long for what.
//!
//! | answer | what happens |
//! |---|---|
//! | sent | go on |
//! | stream full, broker out of room | wait with growing pauses, up to `max_wait` without progress |
//! | stream or group missing | heal, take back what was lost, go on |
//! | broker away or not ready | redial with growing pauses, up to `retries` in a row |
//! | refused (password, wrong type) | end: only a person can mend it |
//!
//! A cron run gives up and says what is safe; the relay inside the API never does.

use std::time::{Duration, Instant};

use isobar_broker::{BrokerError, SWITCHES_EVERY};
use isobar_telemetry::chain;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::{FAILURES, Relay, RelayError, Step};
use crate::backoff::Backoff;
use crate::progress::set;

const REDIAL_BASE: Duration = Duration::from_millis(50);
const REDIAL_CAP: Duration = Duration::from_secs(3);
const FULL_BASE: Duration = Duration::from_millis(10);
const FULL_CAP: Duration = Duration::from_millis(500);
/// Between two looks at what is finished.
const RECONCILE_EVERY: Duration = Duration::from_secs(30);
/// An idle relay writes the marks that nobody else took along after this.
const IDLE_FLUSH: Duration = Duration::from_millis(500);

/// How long a relay puts up with trouble; `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub retries: Option<u32>,
    pub max_wait: Option<Duration>,
}

/// Why a relay ended before everything was sent.
#[derive(Debug, thiserror::Error)]
pub enum RelayEnd {
    #[error("{0}")]
    Unreachable(#[source] BrokerError),
    #[error(
        "the stream is full ({unfinished} unfinished tasks) and the workers took none for {waited:?}"
    )]
    Full { unfinished: u64, waited: Duration },
    #[error("{0}")]
    NoRoom(#[source] BrokerError),
    #[error("{0}")]
    Refused(#[source] BrokerError),
    #[error(transparent)]
    Broken(RelayError),
}

/// Relays until `ending` is cancelled and everything is sent, or `shutdown` is.
pub async fn drive(
    relay: &mut Relay,
    patience: Patience,
    ending: &CancellationToken,
    shutdown: &CancellationToken,
) -> Result<(), RelayEnd> {
    let mut driver = Driver {
        patience,
        redial: Backoff::new(REDIAL_BASE, REDIAL_CAP),
        full: Backoff::new(FULL_BASE, FULL_CAP),
        blocked_since: None,
        reconciled: None,
    };
    let result = driver.run(relay, ending, shutdown).await;
    set(&relay.progress.waiting, 0);
    // Lost marks cost a repeated append each, nothing more.
    if let Err(error) = relay.outbox.flush_marks().await {
        tracing::warn!(error = chain(&error), "cannot note what was sent");
    }
    result
}

struct Driver {
    patience: Patience,
    redial: Backoff,
    full: Backoff,
    blocked_since: Option<Instant>,
    reconciled: Option<Instant>,
}

impl Driver {
    async fn run(
        &mut self,
        relay: &mut Relay,
        ending: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayEnd> {
        while !shutdown.is_cancelled() {
            // Asked before the step: what is frozen after it says so is not missed.
            let last_round = ending.is_cancelled();
            let due = self.reconciled.is_none_or(|at| at.elapsed() >= RECONCILE_EVERY);
            let step = if due {
                relay.reconcile().await.map(|()| {
                    self.reconciled = Some(Instant::now());
                    Step::Moved
                })
            } else {
                relay.step().await
            };
            let pause = match step {
                Ok(Step::Sent) => {
                    self.blocked_since = None;
                    self.redial.reset();
                    self.full.reset();
                    set(&relay.progress.waiting, 0);
                    continue;
                }
                Ok(Step::Moved | Step::Conflict) => continue,
                Ok(Step::Idle) if last_round => return Ok(()),
                Ok(Step::Idle) => {
                    self.redial.reset();
                    self.rest(relay, ending, shutdown).await?;
                    continue;
                }
                Ok(Step::Full { unfinished }) => {
                    set(&relay.progress.waiting, 1);
                    self.blocked(|waited| RelayEnd::Full { unfinished, waited })?
                }
                Err(RelayError::Broker(error)) => self.trouble(error)?,
                Err(error) => return Err(RelayEnd::Broken(error)),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Waits for more to send, for the next look at what is finished, or for the end.
    async fn rest(
        &self,
        relay: &Relay,
        ending: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayEnd> {
        let next_look = self
            .reconciled
            .map_or(Duration::ZERO, |at| RECONCILE_EVERY.saturating_sub(at.elapsed()));
        let flush = relay.outbox.unwritten_marks() > 0;
        let wait = if flush { IDLE_FLUSH.min(next_look) } else { next_look };
        // Nothing tells when a paused job may go on.
        let wait = if relay.paused().next().is_some() { SWITCHES_EVERY.min(wait) } else { wait };
        tokio::select! {
            () = relay.outbox.changed(relay.pipeline) => {}
            () = ending.cancelled() => {}
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {
                relay.outbox.flush_marks().await.map_err(|error| RelayEnd::Broken(error.into()))?;
            }
        }
        Ok(())
    }

    fn trouble(&mut self, error: BrokerError) -> Result<Duration, RelayEnd> {
        counter!(FAILURES.name).increment(1);
        match error {
            BrokerError::Refused { .. } => Err(RelayEnd::Refused(error)),
            BrokerError::Unexpected { .. } => Err(RelayEnd::Broken(error.into())),
            BrokerError::NoRoom { .. } => self.blocked(|_| RelayEnd::NoRoom(error)),
            BrokerError::Missing { .. }
            | BrokerError::Unavailable { .. }
            | BrokerError::NotReady { .. } => {
                // Whatever it was, the stream may have lost something: look before sending on.
                self.reconciled = None;
                if self.patience.retries.is_some_and(|retries| self.redial.tries() >= retries) {
                    return Err(RelayEnd::Unreachable(error));
                }
                if self.redial.tries() == 0 {
                    tracing::warn!(error = chain(&error), "the broker is in trouble; trying again");
                }
                let missing = matches!(error, BrokerError::Missing { .. });
                let pause = self.redial.pause();
                Ok(if missing { Duration::ZERO } else { pause })
            }
        }
    }

    /// The next pause while nothing may be written, or the end of patience.
    fn blocked(&mut self, end: impl FnOnce(Duration) -> RelayEnd) -> Result<Duration, RelayEnd> {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        if self.patience.max_wait.is_some_and(|max_wait| since.elapsed() >= max_wait) {
            return Err(end(since.elapsed()));
        }
        Ok(self.full.pause())
    }
}
