//! Leases: an owner acknowledges, renews and gives back entries; others replace dead owners.
//!
//! Guarantees: each script checks the owner of an entry before it changes the entry, except `ack`:
//! committed work is finished, and its owner does not matter (I3).

use std::time::Duration;

use anyhow::bail;
use redis::Value;

use super::broker::{IDS_PER_CALL, RedisBroker};
use super::reply;
use super::scripts::{ACK, ADOPT_ORPHANS, Call, GIVE_BACK, REMOVE_CONSUMER, RENEW};
use crate::depth::RemoveOutcome;
use crate::entry::{Budget, GiveBack, ScanCursor};
use crate::error::Result;
use crate::keys::RETURNED;
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;

/// Entries of the stream that one search for orphans looks at.
const ORPHAN_PAGE: usize = 500;

impl RedisBroker {
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let keys = [topic.lane(lane), topic.attempts(lane), &topic.batches, &topic.spans];
        let mut deleted = 0;
        for page in ids.chunks(IDS_PER_CALL) {
            let mut call = Call::new(&ACK, &keys).arg(&topic.group).arg(lane.as_str());
            push_ids(&mut call, page);
            deleted += self.call(&call, &topic.stream, |reply| reply::count(&reply)).await?;
        }
        Ok(deleted)
    }

    /// Has a connection of its own: a lease must not expire behind a large append.
    pub async fn renew(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        let mut lost = Vec::new();
        for page in ids.chunks(IDS_PER_CALL) {
            let mut call = Call::new(&RENEW, &[topic.lane(lane)]).arg(&topic.group).arg(consumer);
            push_ids(&mut call, page);
            let reply = self.renewals().call(&call).await;
            lost.extend(self.finish(reply, &topic.stream, reply::ids)?);
        }
        Ok(lost)
    }

    pub async fn hand_over(
        &self,
        topic: &Topic,
        consumer: &str,
        to: &'static str,
        lane: Lane,
        entries: &[GiveBack],
        claim_idle: Duration,
    ) -> Result<Vec<EntryId>> {
        let mut lost = Vec::new();
        for page in entries.chunks(IDS_PER_CALL) {
            let mut call = Call::new(&GIVE_BACK, &[topic.lane(lane), topic.attempts(lane)])
                .arg(&topic.group)
                .arg(consumer)
                .arg(to);
            for entry in page {
                // Redis has no due time, only the time that an entry has been idle. A later due
                // time is a shorter idle time, and zero is the shortest.
                let idle = claim_idle.saturating_sub(entry.delay);
                call.push(entry.id.to_string());
                call.push(idle.as_millis() as u64);
                call.push(match entry.counted {
                    None => "",
                    Some(Budget::Attempt) => "attempt",
                    Some(Budget::Crash) => "crash",
                });
            }
            lost.extend(self.call(&call, &topic.stream, reply::ids).await?);
        }
        Ok(lost)
    }

    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        lane: Lane,
        position: &mut ScanCursor,
        claim_idle: Duration,
    ) -> Result<u64> {
        let call = Call::new(&ADOPT_ORPHANS, &[topic.lane(lane)])
            .arg(&topic.group)
            .arg(RETURNED)
            .arg(claim_idle.as_millis() as u64)
            .arg(position.0.to_string())
            .arg(ORPHAN_PAGE);
        let (next, found) = self.call(&call, &topic.stream, adopted).await?;
        *position = next;
        Ok(found)
    }

    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<RemoveOutcome> {
        let call = Call::new(&REMOVE_CONSUMER, &[&topic.stream, &topic.control])
            .arg(&topic.group)
            .arg(consumer)
            .arg(idle.as_millis() as u64);
        let removal = self.call(&call, &topic.stream, removal).await?;
        if removal == RemoveOutcome::Removed {
            self.forget_reader(topic, consumer);
        }
        Ok(removal)
    }
}

fn push_ids(call: &mut Call, ids: &[EntryId]) {
    for id in ids {
        call.push(id.to_string());
    }
}

fn adopted(reply: Value) -> anyhow::Result<(ScanCursor, u64)> {
    let [next, found] = reply::array(reply)?;
    Ok((ScanCursor(reply::id(next)?), reply::count(&found)?))
}

fn removal(reply: Value) -> anyhow::Result<RemoveOutcome> {
    Ok(match reply::text(reply)?.as_str() {
        "REMOVED" => RemoveOutcome::Removed,
        "BUSY" => RemoveOutcome::Busy,
        "ACTIVE" => RemoveOutcome::Active,
        "UNKNOWN" => RemoveOutcome::Unknown,
        other => bail!("unknown outcome of a removal: {other:?}"),
    })
}
