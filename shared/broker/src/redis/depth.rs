//! How much is unfinished, and who works on it. Nothing here changes anything.
//!
//! A stream that does not exist yet is empty rather than missing: who only looks has nothing to heal.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::scripts::{CONSUMERS, Call, DEPTH};
use super::{RedisBroker, Result, reply};
use crate::keys::{PARKED, RETURNED};
use crate::{ConsumerInfo, Depth, Topic};

/// Pending entries of a lane that are looked at for the next due time; more are not in flight
/// unless workers die by the dozen, and then the answer is only later than the truth.
const DUE_PAGE: usize = 2_000;

impl RedisBroker {
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        let call = Call::new(&DEPTH, &[&topic.stream, &topic.control])
            .arg(&topic.group)
            .arg(claim_idle.as_millis() as u64)
            .arg(DUE_PAGE)
            .arg(PARKED);
        let answer = self.call(&call, topic).await?;
        depth(answer).map_err(|error| self.odd(error))
    }

    /// Workers only: entries that were given back belong to nobody who reads.
    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>> {
        let keys = [topic.stream.as_str(), &topic.control];
        let call = Call::new(&CONSUMERS, &keys).arg(&topic.group);
        let answer = self.call(&call, topic).await?;
        consumers(answer).map_err(|error| self.odd(error))
    }
}

fn depth(answer: Value) -> anyhow::Result<Depth> {
    let [tasks, control, undelivered, pending, parked, oldest, due, waiting] =
        reply::array(answer)?;
    Ok(Depth {
        tasks: reply::count(&tasks)?,
        control: reply::count(&control)?,
        undelivered: reply::count(&undelivered)?,
        pending: reply::count(&pending)?,
        parked: reply::count(&parked)?,
        oldest_pending_ms: reply::count(&oldest).unwrap_or(0),
        oldest_undelivered_ms: reply::count(&waiting).unwrap_or(0),
        next_due_ms: reply::count(&due).ok(),
    })
}

/// One line for each name: what it owns in both lanes, and when it was last heard in either.
fn consumers(answer: Value) -> anyhow::Result<Vec<ConsumerInfo>> {
    let mut by_name = BTreeMap::<String, ConsumerInfo>::new();
    for consumer in reply::list(answer)? {
        let [name, pending, idle] = reply::array(consumer)?;
        let name = reply::text(name)?;
        let (pending, idle_ms) = (reply::count(&pending)?, reply::count(&idle)?);
        if name == RETURNED || name == PARKED {
            continue;
        }
        let known =
            by_name.entry(name.clone()).or_insert(ConsumerInfo { name, pending: 0, idle_ms });
        known.pending += pending;
        known.idle_ms = known.idle_ms.min(idle_ms);
    }
    Ok(by_name.into_values().collect())
}
