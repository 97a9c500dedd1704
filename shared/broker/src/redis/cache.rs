//! What is kept for a while and then forgotten: cached answers and heartbeats.
//!
//! Plain keys with an expiry. They are found again by `SCAN`, in bounded steps: a keyspace that is
//! full of other people's keys makes the count a lower bound, not a stall.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::{Pipeline, Value};

use super::{RedisBroker, Result, reply};
use crate::keys;

/// Keys that one step of a scan looks at, and how many steps there are at most.
const SCAN_PAGE: usize = 1_000;
const SCAN_STEPS: usize = 200;

impl RedisBroker {
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>> {
        let key = keys::cache(key);
        // In one transaction, or the value could expire between the two.
        let mut commands = Pipeline::new();
        commands.atomic().get(&key).pttl(&key);
        let answers = self.inner.main.pipeline(&commands).await;
        let answers = answers.map_err(|failure| self.failed(failure, ""))?;
        cached(answers).map_err(|error| self.odd(error))
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
        let answer = self.query(&command, "").await?;
        let states = reply::list(answer).map_err(|error| self.odd(error))?;
        // One that expired meanwhile is silent; one that does not parse is of another version.
        Ok(found
            .into_iter()
            .zip(states)
            .filter_map(|(key, state)| {
                let state = serde_json::from_slice(&reply::bytes(state).ok()?).ok()?;
                let name = key.strip_prefix(keys::HEARTBEAT_PREFIX)?;
                Some((name.to_owned(), state))
            })
            .collect())
    }

    async fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        command.arg("PX").arg(ttl.as_millis().max(1) as u64);
        self.query(&command, "").await.map(drop)
    }

    /// The keys with this prefix, in order, each once.
    async fn scan(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut cursor = "0".to_owned();
        for _ in 0..SCAN_STEPS {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(format!("{prefix}*"));
            command.arg("COUNT").arg(SCAN_PAGE);
            let answer = self.query(&command, "").await?;
            let (next, keys) = scanned(answer).map_err(|error| self.odd(error))?;
            found.extend(keys);
            if next == "0" {
                break;
            }
            cursor = next;
        }
        Ok(found)
    }
}

fn cached(answers: Vec<Value>) -> anyhow::Result<Option<(Vec<u8>, Duration)>> {
    let mut answers = answers.into_iter();
    let (value, ttl) = (answers.next(), answers.next());
    let (Some(value), Some(ttl)) = (value, ttl) else {
        return Ok(None);
    };
    if value == Value::Nil {
        return Ok(None);
    }
    let ttl_ms = reply::number(&ttl)?.max(0) as u64;
    Ok(Some((reply::bytes(value)?, Duration::from_millis(ttl_ms))))
}

fn scanned(answer: Value) -> anyhow::Result<(String, Vec<String>)> {
    let [next, keys] = reply::array(answer)?;
    let keys: anyhow::Result<Vec<String>> =
        reply::list(keys)?.into_iter().map(reply::text).collect();
    Ok((reply::text(next)?, keys?))
}
