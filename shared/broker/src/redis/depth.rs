//! The backlog of a stream and the consumers that work on it. Read only.
//!
//! Guarantees: a stream that does not exist yet is empty, not missing: a reader has nothing to heal.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::broker::RedisBroker;
use super::reply;
use super::scripts::{CONSUMERS, Call, DEPTH};
use crate::depth::{ConsumerInfo, Depth};
use crate::error::Result;
use crate::keys::{PARKED, RETURNED};
use crate::topic::Topic;

/// Pending entries of a lane that a call checks for the next due time. More are only in flight
/// when dozens of workers die; then the reported time is later than the true one.
const DUE_PAGE: usize = 2_000;

impl RedisBroker {
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        let call = Call::new(&DEPTH, &[&topic.stream, &topic.control])
            .arg(&topic.group)
            .arg(claim_idle.as_millis() as u64)
            .arg(DUE_PAGE)
            .arg(PARKED);
        self.call(&call, &topic.stream, depth).await
    }

    /// Workers only: the constant consumers of returned and parked entries do not read.
    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>> {
        let keys = [topic.stream.as_str(), &topic.control];
        let call = Call::new(&CONSUMERS, &keys).arg(&topic.group);
        self.call(&call, &topic.stream, consumers).await
    }
}

fn depth(reply: Value) -> anyhow::Result<Depth> {
    let [tasks, control, undelivered, pending, parked, oldest_pending, due, oldest_undelivered] =
        reply::array(reply)?;
    Ok(Depth {
        tasks: reply::count(&tasks)?,
        control: reply::count(&control)?,
        undelivered: reply::count(&undelivered)?,
        pending: reply::count(&pending)?,
        parked: reply::count(&parked)?,
        oldest_pending_ms: reply::count(&oldest_pending).unwrap_or(0),
        oldest_undelivered_ms: reply::count(&oldest_undelivered).unwrap_or(0),
        next_due_ms: reply::count(&due).ok(),
    })
}

/// One item for each name: what it owns in both lanes, and its shorter idle time.
fn consumers(reply: Value) -> anyhow::Result<Vec<ConsumerInfo>> {
    let mut by_name = BTreeMap::<String, ConsumerInfo>::new();
    for consumer in reply::list(reply)? {
        let [name, pending, idle] = reply::array(consumer)?;
        let name = reply::text(name)?;
        let (pending, idle_ms) = (reply::count(&pending)?, reply::count(&idle)?);
        if name == RETURNED || name == PARKED {
            continue;
        }
        let info =
            by_name.entry(name.clone()).or_insert(ConsumerInfo { name, pending: 0, idle_ms });
        info.pending += pending;
        info.idle_ms = info.idle_ms.min(idle_ms);
    }
    Ok(by_name.into_values().collect())
}
