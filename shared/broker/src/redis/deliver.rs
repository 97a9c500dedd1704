//! How entries reach a worker: read undelivered ones, claim due ones, peek.
//!
//! `XREADGROUP` counts for each stream alone, but a caller has only `count` free slots. So a read
//! queries one lane after the other, and only when both are empty does it block on both at once.
//! Control messages are few and cheap and go first, up to [`Lane::control_share`].

use std::time::Duration;

use redis::{Cmd, Value};

use super::broker::RedisBroker;
use super::connection::RESPONSE_LIMIT;
use super::reply;
use super::scripts::{CLAIM, Call, OWNED};
use crate::entry::{ClaimLimits, Entry, GiveBack, ScanCursor};
use crate::error::Result;
use crate::keys::RETURNED;
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;

/// Pending entries that one claim looks at.
const CLAIM_PAGE: usize = 500;

/// An entry that is given back with this idle time is due at once, whatever the claim idle is.
const DUE_AT_ONCE: Duration = Duration::from_hours(24);

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
        // Half of the count for each lane, because both may fill at the same moment.
        let mut command = read_command(topic, consumer, (count / 2).max(1));
        // BLOCK 0 would wait indefinitely.
        command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        command.arg("STREAMS").arg(&topic.stream).arg(&topic.control);
        command.arg(">").arg(">");
        let mut entries = self.read_with(&command, topic, consumer, wait).await?;
        // Where the caller asked for one entry and each lane gave one, the second is due again at
        // once, for any consumer.
        for entry in entries.split_off(count.min(entries.len())) {
            let back = [GiveBack { id: entry.id, delay: Duration::ZERO, counted: None }];
            self.hand_over(topic, consumer, RETURNED, entry.lane, &back, DUE_AT_ONCE).await?;
        }
        Ok(entries)
    }

    /// The entries that are there now: the control lane's share, then tasks, then more control
    /// messages if there is room left.
    async fn read_now(&self, topic: &Topic, consumer: &str, count: usize) -> Result<Vec<Entry>> {
        let share = Lane::control_share(count);
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
        self.read_with(&command, topic, consumer, Duration::ZERO).await
    }

    /// Sends a read command that blocks for `wait` on the reader's own connection.
    async fn read_with(
        &self,
        command: &Cmd,
        topic: &Topic,
        consumer: &str,
        wait: Duration,
    ) -> Result<Vec<Entry>> {
        let reader = self.reader(topic, consumer);
        let reply = reader.query_within(command, wait + RESPONSE_LIMIT).await;
        self.finish(reply, &topic.stream, |reply| reply::delivered(reply, topic))
    }

    pub async fn entries_of(
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
        self.call(&call, &topic.stream, |reply| reply::counted_entries(reply, lane)).await
    }

    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut ScanCursor,
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
        let (next, entries) = self.call(&call, &topic.stream, |reply| claimed(reply, lane)).await?;
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
        let read = |reply| reply::plain_entries(reply, lane, 0);
        self.query(&command, &topic.stream, read).await
    }
}

fn read_command(topic: &Topic, consumer: &str, count: usize) -> Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(&topic.group).arg(consumer);
    command.arg("COUNT").arg(count);
    command
}

fn claimed(reply: Value, lane: Lane) -> anyhow::Result<(ScanCursor, Vec<Entry>)> {
    let [next, entries] = reply::array(reply)?;
    Ok((ScanCursor(reply::id(next)?), reply::counted_entries(entries, lane)?))
}
