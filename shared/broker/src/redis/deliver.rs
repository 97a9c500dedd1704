//! How entries reach a worker: read what nobody has had, take over what fell due, look.
//!
//! `XREADGROUP` counts for each stream alone, and a caller has only so many free slots: so the
//! lanes are asked one after the other, and only when both are empty in one command that blocks.
//! Control messages are cheap and few and go first, but take only a part while there are tasks: a
//! job's seal does not wait behind a hundred thousand tasks, nor these behind as many rejects.

use std::time::Duration;

use redis::Cmd;

use super::connection::RESPONSE_LIMIT;
use super::scripts::{CLAIM, Call, OWNED};
use super::{RedisBroker, Result, reply};
use crate::keys::RETURNED;
use crate::{ClaimLimits, Entry, EntryId, GiveBack, Lane, Position, Topic};

/// The control lane's part of what is asked for.
const CONTROL_SHARE: usize = 8;
/// Pending entries that one claim looks at.
const CLAIM_PAGE: usize = 500;

impl RedisBroker {
    pub async fn read(
        &self,
        topic: &Topic,
        consumer: &str,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let entries = self.read_now(topic, consumer, count).await?;
        if !entries.is_empty() || wait.is_zero() {
            return Ok(entries);
        }
        // Half for each lane, as both may fill at the same moment.
        let mut command = read_command(topic, consumer, (count / 2).max(1));
        // BLOCK 0 would be for ever.
        command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        command.arg("STREAMS").arg(&topic.stream).arg(&topic.control);
        command.arg(">").arg(">");
        let link = self.reader(topic, consumer);
        let answer = link.query_within(&command, wait + RESPONSE_LIMIT).await;
        let answer = answer.map_err(|failure| self.failed(failure, &topic.stream))?;
        let mut entries = reply::delivered(answer, topic).map_err(|error| self.odd(error))?;
        while entries.len() > count {
            self.return_unseen(topic, consumer, entries.pop()).await?;
        }
        Ok(entries)
    }

    /// What is there now: a part of the count from the control lane, then tasks, then more control
    /// messages if there is room left.
    async fn read_now(&self, topic: &Topic, consumer: &str, count: usize) -> Result<Vec<Entry>> {
        let share = (count / CONTROL_SHARE).max(1);
        let mut entries = self.take(topic, Lane::Control, consumer, share).await?;
        let more_control = entries.len() == share;
        let room = count - entries.len();
        entries.extend(self.take(topic, Lane::Tasks, consumer, room).await?);
        if more_control {
            let room = count - entries.len();
            entries.extend(self.take(topic, Lane::Control, consumer, room).await?);
        }
        Ok(entries)
    }

    async fn take(
        &self,
        topic: &Topic,
        lane: Lane,
        consumer: &str,
        count: usize,
    ) -> Result<Vec<Entry>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut command = read_command(topic, consumer, count);
        command.arg("STREAMS").arg(topic.lane(lane)).arg(">");
        let answer = self.reader(topic, consumer).query(&command).await;
        let answer = answer.map_err(|failure| self.failed(failure, &topic.stream))?;
        reply::delivered(answer, topic).map_err(|error| self.odd(error))
    }

    /// One was asked for and each lane gave one: the second is due again at once, for anyone.
    async fn return_unseen(
        &self,
        topic: &Topic,
        consumer: &str,
        entry: Option<Entry>,
    ) -> Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        let back = GiveBack { id: entry.id, delay: Duration::ZERO, attempt: false };
        self.hand_over(topic, consumer, RETURNED, entry.lane, &[back], UNSEEN_IDLE).await.map(drop)
    }

    pub async fn owned(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let call = Call::new(&OWNED, &[topic.lane(lane), topic.attempts(lane)])
            .arg(&topic.group)
            .arg(consumer)
            .arg(after.to_string())
            .arg(count);
        let answer = self.call(&call, topic).await?;
        reply::counted_entries(answer, lane).map_err(|error| self.odd(error))
    }

    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut Position,
        limits: ClaimLimits,
    ) -> Result<Vec<Entry>> {
        let call = Call::new(&CLAIM, &[topic.lane(lane), topic.attempts(lane)])
            .arg(&topic.group)
            .arg(consumer)
            .arg(limits.claim_idle.as_millis() as u64)
            .arg(position.0.to_string())
            .arg(CLAIM_PAGE)
            .arg(limits.count)
            .arg(limits.suspects)
            .arg(limits.suspect_from);
        let answer = self.call(&call, topic).await?;
        let (next, entries) = claimed(answer, lane).map_err(|error| self.odd(error))?;
        *position = next;
        Ok(entries)
    }

    pub async fn peek(
        &self,
        topic: &Topic,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let mut command = redis::cmd("XRANGE");
        command.arg(topic.lane(lane)).arg(format!("({after}"));
        command.arg("+").arg("COUNT").arg(count);
        let answer = self.query(&command, &topic.stream).await?;
        reply::plain_entries(answer, lane, 0).map_err(|error| self.odd(error))
    }
}

/// Given back as idle for this long, an entry is due whatever the claim idle is set to.
const UNSEEN_IDLE: Duration = Duration::from_hours(24);

fn read_command(topic: &Topic, consumer: &str, count: usize) -> Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(&topic.group).arg(consumer);
    command.arg("COUNT").arg(count);
    command
}

fn claimed(answer: redis::Value, lane: Lane) -> anyhow::Result<(Position, Vec<Entry>)> {
    let [next, entries] = reply::array(answer)?;
    let next = Position(reply::id(next)?);
    Ok((next, reply::counted_entries(entries, lane)?))
}
