//! The loop around [`Relay::step`]: how long to wait after each answer of the broker.
//!
//! | answer | what happens |
//! |---|---|
//! | sent | continue at once |
//! | stream full, broker out of memory | wait with growing pauses, up to `max_wait` without progress |
//! | stream or group missing | heal, send lost batches again, continue |
//! | broker down or not ready | reconnect with growing pauses, up to `retries` in a row |
//! | refused (password, wrong type) | end: a person must correct the configuration |
//!
//! A cron run ends at these limits; the relay inside the API has none.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff};
use isobar_broker::{BrokerError, FLAGS_REFRESH};
use isobar_telemetry::error_chain;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::step::{FAILURES, Relay, RelayError, RelayStep};
use crate::pauses::pauses;
use crate::progress::set;

const FIRST_RECONNECT: Duration = Duration::from_millis(50);
const LONGEST_RECONNECT: Duration = Duration::from_secs(3);
const FIRST_FULL_WAIT: Duration = Duration::from_millis(10);
const LONGEST_FULL_WAIT: Duration = Duration::from_millis(500);
/// The interval at which sent batches are confirmed.
const RECONCILE_EVERY: Duration = Duration::from_secs(30);
/// An idle relay writes its waiting marks after this time.
const IDLE_FLUSH: Duration = Duration::from_millis(500);

/// The limits at which a relay ends; `None` is unlimited.
#[derive(Clone, Copy, Debug)]
pub struct RetryLimits {
    pub retries: Option<u32>,
    pub max_wait: Option<Duration>,
}

/// Why a relay ended before everything was sent.
#[derive(Debug, thiserror::Error)]
pub enum RelayEnd {
    #[error("{0}")]
    Unreachable(#[source] BrokerError),
    #[error(
        "the stream is full ({unfinished} unfinished tasks) and workers took none for {waited:?}"
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
    limits: RetryLimits,
    ending: &CancellationToken,
    shutdown: &CancellationToken,
) -> Result<(), RelayEnd> {
    let mut driver =
        Driver { limits, reconnects: None, full_waits: None, full_since: None, reconciled: None };
    let result = driver.run(relay, ending, shutdown).await;
    set(&relay.progress.waiting, 0);
    // A lost mark only costs a repeated append.
    if let Err(error) = relay.outbox.flush_marks().await {
        tracing::warn!(error = error_chain(&error), "cannot write which batches were sent");
    }
    result
}

struct Driver {
    limits: RetryLimits,
    /// Set while the broker is down.
    reconnects: Option<ExponentialBackoff>,
    /// Set while the stream is full.
    full_waits: Option<ExponentialBackoff>,
    full_since: Option<Instant>,
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
            // Read before the step: a batch frozen after the cancellation is not missed.
            let last_round = ending.is_cancelled();
            let due = self.reconciled.is_none_or(|at| at.elapsed() >= RECONCILE_EVERY);
            let step = if due {
                relay.reconcile().await.map(|()| {
                    self.reconciled = Some(Instant::now());
                    RelayStep::Moved
                })
            } else {
                relay.step().await
            };
            let pause = match step {
                Ok(RelayStep::Sent) => {
                    self.full_since = None;
                    self.reconnects = None;
                    self.full_waits = None;
                    set(&relay.progress.waiting, 0);
                    continue;
                }
                Ok(RelayStep::Moved | RelayStep::Conflict) => continue,
                Ok(RelayStep::Idle) if last_round => return Ok(()),
                Ok(RelayStep::Idle) => {
                    self.reconnects = None;
                    self.rest(relay, ending, shutdown).await?;
                    continue;
                }
                Ok(RelayStep::Full { unfinished }) => {
                    set(&relay.progress.waiting, 1);
                    self.on_full(|waited| RelayEnd::Full { unfinished, waited })?
                }
                Err(RelayError::Broker(error)) => self.on_broker_error(error)?,
                Err(error) => return Err(RelayEnd::Broken(error)),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Waits for a new batch, the next confirmation, or the end.
    async fn rest(
        &self,
        relay: &Relay,
        ending: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayEnd> {
        let next_reconcile = self
            .reconciled
            .map_or(Duration::ZERO, |at| RECONCILE_EVERY.saturating_sub(at.elapsed()));
        let flush = relay.outbox.unwritten_marks() > 0;
        let wait = if flush { IDLE_FLUSH.min(next_reconcile) } else { next_reconcile };
        // The flag of a paused job is polled.
        let wait = if relay.paused().next().is_some() { FLAGS_REFRESH.min(wait) } else { wait };
        tokio::select! {
            () = relay.outbox.wait_for_work(relay.pipeline) => {}
            () = ending.cancelled() => {}
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {
                relay.outbox.flush_marks().await.map_err(|error| RelayEnd::Broken(error.into()))?;
            }
        }
        Ok(())
    }

    fn on_broker_error(&mut self, error: BrokerError) -> Result<Duration, RelayEnd> {
        counter!(FAILURES.name).increment(1);
        match error {
            BrokerError::Refused { .. } => Err(RelayEnd::Refused(error)),
            BrokerError::Unexpected { .. } => Err(RelayEnd::Broken(error.into())),
            BrokerError::NoRoom { .. } => self.on_full(|_| RelayEnd::NoRoom(error)),
            BrokerError::Missing { .. }
            | BrokerError::Unavailable { .. }
            | BrokerError::NotReady { .. } => {
                // The stream may have lost batches: reconcile before the next append.
                self.reconciled = None;
                let is_first = self.reconnects.is_none();
                let reconnects = self.reconnects.get_or_insert_with(|| {
                    let retries =
                        self.limits.retries.map_or(usize::MAX, |retries| retries as usize);
                    pauses(FIRST_RECONNECT, LONGEST_RECONNECT).with_max_times(retries).build()
                });
                let Some(pause) = reconnects.next() else {
                    return Err(RelayEnd::Unreachable(error));
                };
                if is_first {
                    tracing::warn!(
                        error = error_chain(&error),
                        "the broker does not answer; trying again"
                    );
                }
                let missing = matches!(error, BrokerError::Missing { .. });
                Ok(if missing { Duration::ZERO } else { pause })
            }
        }
    }

    /// The next pause while nothing can be appended, or the end after `max_wait`.
    fn on_full(&mut self, end: impl FnOnce(Duration) -> RelayEnd) -> Result<Duration, RelayEnd> {
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if self.limits.max_wait.is_some_and(|max_wait| since.elapsed() >= max_wait) {
            return Err(end(since.elapsed()));
        }
        let waits = self
            .full_waits
            .get_or_insert_with(|| pauses(FIRST_FULL_WAIT, LONGEST_FULL_WAIT).build());
        Ok(waits.next().unwrap_or(LONGEST_FULL_WAIT))
    }
}
