//! Cached answers and heartbeats: keys with an expiry.
//!
//! Guarantees: `SCAN` finds them in a bounded number of steps. In a keyspace that is full of
//! foreign keys the count is a lower bound, not a stall.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::{Pipeline, Value};

use super::broker::RedisBroker;
use super::reply;
use crate::error::Result;
use crate::keys;

/// Keys that one step of a scan looks at.
const SCAN_PAGE: usize = 1_000;
/// Most steps of a scan.
const SCAN_STEPS: usize = 200;

impl RedisBroker {
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>> {
        let key = keys::cache(key);
        // One transaction, because the value could expire between the two commands.
        let mut commands = Pipeline::new();
        commands.atomic().get(&key).pttl(&key);
        self.pipeline(&commands, "", cached).await
    }

    pub async fn cache_set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        self.set(&keys::cache(key), value, ttl).await
    }

    pub async fn cache_len(&self) -> Result<u64> {
        Ok(self.scan(keys::CACHE_PREFIX).await?.len() as u64)
    }

    pub async fn heartbeat(
        &self,
        name: &str,
        state: &serde_json::Value,
        ttl: Duration,
    ) -> Result<()> {
        let state = state.to_string();
        self.set(&keys::heartbeat(name), state.as_bytes(), ttl).await
    }

    pub async fn heartbeats(&self) -> Result<Vec<(String, serde_json::Value)>> {
        let found: Vec<String> = self.scan(keys::HEARTBEAT_PREFIX).await?.into_iter().collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        command.arg(&found);
        let states = self.query(&command, "", reply::list).await?;
        // Leaves out heartbeats that expired since the scan and those of another version.
        let heartbeat = |(key, state): (String, Value)| {
            let state = serde_json::from_slice(&reply::bytes(state).ok()?).ok()?;
            let name = key.strip_prefix(keys::HEARTBEAT_PREFIX)?;
            Some((name.to_owned(), state))
        };
        Ok(found.into_iter().zip(states).filter_map(heartbeat).collect())
    }

    async fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        command.arg("PX").arg(ttl.as_millis().max(1) as u64);
        self.query(&command, "", |_| Ok(())).await
    }

    /// The keys with this prefix, in order, each once.
    async fn scan(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut cursor = "0".to_owned();
        for _ in 0..SCAN_STEPS {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(format!("{prefix}*"));
            command.arg("COUNT").arg(SCAN_PAGE);
            let (next, keys) = self.query(&command, "", scanned).await?;
            found.extend(keys);
            if next == "0" {
                break;
            }
            cursor = next;
        }
        Ok(found)
    }
}

fn cached(replies: Vec<Value>) -> anyhow::Result<Option<(Vec<u8>, Duration)>> {
    let [value, ttl] = reply::array(Value::Array(replies))?;
    if value == Value::Nil {
        return Ok(None);
    }
    let ttl_ms = reply::number(&ttl)?.max(0) as u64;
    Ok(Some((reply::bytes(value)?, Duration::from_millis(ttl_ms))))
}

fn scanned(reply: Value) -> anyhow::Result<(String, Vec<String>)> {
    let [next, keys] = reply::array(reply)?;
    let keys = reply::list(keys)?.into_iter().map(reply::text).collect::<anyhow::Result<_>>()?;
    Ok((reply::text(next)?, keys))
}
