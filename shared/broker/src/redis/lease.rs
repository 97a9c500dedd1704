//! What an owner does with its entries: finish them, keep them, hand them back; and what is done
//! about owners that are gone.
//!
//! Each script asks who owns the entry before it touches it, except `ack`: committed work is
//! finished, whoever owns the entry by now (I3).

use std::time::Duration;

use super::scripts::{ACK, ADOPT_ORPHANS, Call, GIVE_BACK, REMOVE_CONSUMER, RENEW};
use super::{IDS_PER_CALL, RedisBroker, Result, reply};
use crate::keys::RETURNED;
use crate::{EntryId, GiveBack, Lane, Position, Removal, Topic};

/// Entries of the stream that one search for orphans looks at.
const ORPHAN_PAGE: usize = 500;

impl RedisBroker {
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        let mut ended = 0;
        for page in ids.chunks(IDS_PER_CALL) {
            let mut call =
                Call::new(&ACK, &[topic.lane(lane), topic.attempts(lane)]).arg(&topic.group);
            push_ids(&mut call, page);
            let answer = self.call(&call, topic).await?;
            ended += reply::count(&answer).map_err(|error| self.odd(error))?;
        }
        Ok(ended)
    }

    /// On a connection of its own: a lease must not run out behind a large append.
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
            let answer = self.inner.renewals.call(&call).await;
            let answer = answer.map_err(|failure| self.failed(failure, &topic.stream))?;
            lost.extend(reply::ids(answer).map_err(|error| self.odd(error))?);
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
                // Redis knows no due time, only how long an entry has been idle: one that is to
                // fall due later has been idle for less. It cannot be less than not at all.
                let idle = claim_idle.saturating_sub(entry.delay);
                call.push(entry.id.to_string());
                call.push(idle.as_millis() as u64);
                call.push(u8::from(entry.attempt));
            }
            let answer = self.call(&call, topic).await?;
            lost.extend(reply::ids(answer).map_err(|error| self.odd(error))?);
        }
        Ok(lost)
    }

    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        lane: Lane,
        position: &mut Position,
        claim_idle: Duration,
    ) -> Result<u64> {
        let call = Call::new(&ADOPT_ORPHANS, &[topic.lane(lane)])
            .arg(&topic.group)
            .arg(RETURNED)
            .arg(claim_idle.as_millis() as u64)
            .arg(position.0.to_string())
            .arg(ORPHAN_PAGE);
        let answer = self.call(&call, topic).await?;
        let (next, found) = adopted(answer).map_err(|error| self.odd(error))?;
        *position = next;
        Ok(found)
    }

    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<Removal> {
        let call = Call::new(&REMOVE_CONSUMER, &[&topic.stream, &topic.control])
            .arg(&topic.group)
            .arg(consumer)
            .arg(idle.as_millis() as u64);
        let answer = self.call(&call, topic).await?;
        match reply::text(answer).map_err(|error| self.odd(error))?.as_str() {
            "REMOVED" => {
                self.forget_reader(topic, consumer);
                Ok(Removal::Removed)
            }
            "BUSY" => Ok(Removal::Busy),
            "ACTIVE" => Ok(Removal::Active),
            "UNKNOWN" => Ok(Removal::Unknown),
            other => Err(self.odd(anyhow::anyhow!("a removal ended in {other:?}"))),
        }
    }
}

fn push_ids(call: &mut Call, ids: &[EntryId]) {
    for id in ids {
        call.push(id.to_string());
    }
}

fn adopted(answer: redis::Value) -> anyhow::Result<(Position, u64)> {
    let [next, found] = reply::array(answer)?;
    Ok((Position(reply::id(next)?), reply::count(&found)?))
}
