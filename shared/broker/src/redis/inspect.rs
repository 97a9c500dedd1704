//! What `doctor` wants to know of a Redis: facts, no judgement.
//!
//! Managed services refuse `CONFIG`; such facts are then unknown, not wrong.

use std::collections::HashMap;

use anyhow::Context;
use redis::{Value, cmd};

use super::{RedisBroker, Result, reply};
use crate::{GroupFacts, RedisFacts, Topic};

impl RedisBroker {
    pub async fn inspect(&self, topic: &Topic) -> Result<RedisFacts> {
        let info = self.query(cmd("INFO").arg("server"), "").await?;
        let info = reply::text(info).map_err(|error| self.odd(error))?;
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"))
            .unwrap_or_default()
            .trim()
            .to_owned();
        let time = self.query(&cmd("TIME"), "").await?;
        let time_ms = time_ms(time).map_err(|error| self.odd(error))?;
        let mut look = cmd("XINFO");
        look.arg("STREAM").arg(&topic.stream).arg("FULL").arg("COUNT").arg(1);
        let groups = match self.query(&look, "").await {
            Ok(stream) => groups(stream).map_err(|error| self.odd(error))?,
            // No stream yet: no groups.
            Err(_) => Vec::new(),
        };
        Ok(RedisFacts {
            version,
            time_ms,
            groups,
            append_only: self.setting("appendonly").await,
            eviction: self.setting("maxmemory-policy").await,
        })
    }

    async fn setting(&self, name: &str) -> Option<String> {
        let answer = self.query(cmd("CONFIG").arg("GET").arg(name), "").await.ok()?;
        let [_, value] = reply::array(answer).ok()?;
        reply::text(value).ok()
    }
}

fn time_ms(time: Value) -> anyhow::Result<u64> {
    let [seconds, micros] = reply::array(time)?;
    let (seconds, micros) =
        (reply::text(seconds)?.parse::<u64>()?, reply::text(micros)?.parse::<u64>()?);
    Ok(seconds * 1_000 + micros / 1_000)
}

fn groups(stream: Value) -> anyhow::Result<Vec<GroupFacts>> {
    let mut stream = map(stream)?;
    let length = stream.remove("length").context("a length")?;
    let length = reply::count(&length)?;
    let mut facts = Vec::new();
    for group in reply::list(stream.remove("groups").unwrap_or(Value::Nil))? {
        let mut group = map(group)?;
        let name = reply::text(group.remove("name").context("a name")?)?;
        let mut number = |name| group.remove(name).and_then(|value| reply::count(&value).ok());
        let held = number("lag").zip(number("pel-count")).map(|(lag, pending)| lag + pending);
        facts.push(GroupFacts { name, lost: held.map(|held| held.saturating_sub(length)) });
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
