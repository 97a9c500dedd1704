//! Facts about a Redis server, for `doctor`.
//!
//! Does not: judge them. Managed services refuse `CONFIG`; its facts are then unknown.

use std::collections::HashMap;

use anyhow::Context;
use redis::{Value, cmd};

use super::broker::RedisBroker;
use super::reply;
use crate::error::Result;
use crate::redis_info::{GroupInfo, RedisInfo};
use crate::topic::Topic;

impl RedisBroker {
    pub async fn inspect(&self, topic: &Topic) -> Result<RedisInfo> {
        let info = self.query(cmd("INFO").arg("everything"), "", reply::text).await.ok();
        let fact = |name: &str| {
            let mut lines = info.as_deref().unwrap_or_default().lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let bytes = |name| fact(name)?.parse::<u64>().ok();
        let memory = bytes("used_memory").zip(bytes("maxmemory").filter(|most| *most > 0));
        let time_ms = self.query(&cmd("TIME"), "", time_ms).await?;
        let mut info = cmd("XINFO");
        info.arg("STREAM").arg(&topic.stream).arg("FULL").arg("COUNT").arg(1);
        let groups = match self.query(&info, "", Ok).await {
            Ok(stream) => groups(stream).map_err(|error| self.unexpected(error))?,
            // The stream does not exist yet, so it has no groups.
            Err(_) => Vec::new(),
        };
        Ok(RedisInfo {
            version: fact("redis_version").map(str::to_owned),
            memory,
            time_ms,
            groups,
            append_only: self.setting("appendonly").await,
            eviction: self.setting("maxmemory-policy").await,
        })
    }

    async fn setting(&self, name: &str) -> Option<String> {
        let value = |reply| {
            let [_, value] = reply::array(reply)?;
            reply::text(value)
        };
        self.query(cmd("CONFIG").arg("GET").arg(name), "", value).await.ok()
    }
}

fn time_ms(time: Value) -> anyhow::Result<u64> {
    let [seconds, micros] = reply::array(time)?;
    let (seconds, micros) =
        (reply::text(seconds)?.parse::<u64>()?, reply::text(micros)?.parse::<u64>()?);
    Ok(seconds * 1_000 + micros / 1_000)
}

fn groups(stream: Value) -> anyhow::Result<Vec<GroupInfo>> {
    let mut stream = map(stream)?;
    let length = stream.remove("length").context("a length")?;
    let length = reply::count(&length)?;
    let mut facts = Vec::new();
    for group in reply::list(stream.remove("groups").unwrap_or(Value::Nil))? {
        let mut group = map(group)?;
        let name = reply::text(group.remove("name").context("a name")?)?;
        let mut number = |name| group.remove(name).and_then(|value| reply::count(&value).ok());
        let unfinished = number("lag").zip(number("pel-count")).map(|(lag, pel)| lag + pel);
        let lost = unfinished.map(|unfinished| unfinished.saturating_sub(length));
        facts.push(GroupInfo { name, lost });
    }
    Ok(facts)
}

/// Names and values in turn.
fn map(value: Value) -> anyhow::Result<HashMap<String, Value>> {
    let mut map = HashMap::new();
    let mut pairs = reply::list(value)?.into_iter();
    while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
        map.insert(reply::text(name)?, value);
    }
    Ok(map)
}
