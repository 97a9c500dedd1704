//! Several roles in one process: started together, watched together, stopped one after another.
//!
//! Guarantees: roles stop in the order in which work flows, the API before the worker. A role that
//! ends by itself ends all of them with its error, so a process never runs with some of its roles.

use std::future::Future;

use anyhow::Context;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Started roles, in the order in which they are to stop.
#[derive(Default)]
pub struct Roles {
    stops: Vec<(&'static str, CancellationToken)>,
    tasks: JoinSet<(usize, anyhow::Result<()>)>,
}

impl Roles {
    /// Starts a role; it is stopped after those that were started before it.
    pub fn start<F>(&mut self, name: &'static str, role: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let number = self.stops.len();
        let running = role(stop.clone());
        self.stops.push((name, stop));
        self.tasks.spawn(async move { (number, running.await) });
    }

    /// Runs until `shutdown`, or until a role ends; then stops all of them in order.
    pub async fn run_until(mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut ended = vec![false; self.stops.len()];
        let mut result = Ok(());
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(end) = self.tasks.join_next() => {
                result = Err(anyhow::anyhow!("a role ended by itself"));
                self.first_error(end, &mut ended, &mut result);
            }
        }
        for number in 0..self.stops.len() {
            self.stops[number].1.cancel();
            while !ended[number] {
                let Some(end) = self.tasks.join_next().await else { break };
                self.first_error(end, &mut ended, &mut result);
            }
        }
        result
    }

    /// Keeps the first real error.
    fn first_error(
        &self,
        end: Result<(usize, anyhow::Result<()>), JoinError>,
        ended: &mut [bool],
        result: &mut anyhow::Result<()>,
    ) {
        match end {
            Ok((number, outcome)) => {
                ended[number] = true;
                let name = self.stops[number].0;
                match outcome {
                    Ok(()) => tracing::debug!("{name} ended"),
                    Err(error) => *result = Err(error).with_context(|| format!("{name} failed")),
                }
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
