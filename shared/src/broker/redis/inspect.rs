//! What `doctor` wants to know of a Redis: facts, no judgement.
//!
//! Managed services refuse `CONFIG`; such facts are then unknown, not wrong.

use std::collections::HashMap;

use redis::{Value, cmd};

use super::{RedisBroker, Result, reply};
use crate::broker::{RedisFacts, Topic};

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
        let groups = match self.query(cmd("XINFO").arg("GROUPS").arg(&topic.stream), "").await {
            Ok(groups) => names(groups).map_err(|error| self.odd(error))?,
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

fn names(groups: Value) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for group in reply::list(groups)? {
        let mut fields = HashMap::new();
        let mut pairs = reply::list(group)?.into_iter();
        while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
            fields.insert(reply::text(name)?, value);
        }
        if let Some(name) = fields.remove("name") {
            names.push(reply::text(name)?);
        }
    }
    Ok(names)
}
