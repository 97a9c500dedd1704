//! What kind of server answers at `REDIS_URL`: a primary, or one that cannot take tasks.
//!
//! Guarantees: a server that is down, or that does not report what it is (an ACL may forbid `INFO`),
//! is not an error here; the first call says what is wrong with it.
//! Does not: use the shared connection. That one selects our database, which a sentinel and a node of
//! a cluster refuse, so they would look like servers that do not answer.

use redis::cmd;

use super::broker::RedisBroker;
use super::connection::RESPONSE_LIMIT;
use crate::error::{BrokerError, Result};
use crate::keys;
use crate::redis_role::RedisRole;

impl RedisBroker {
    /// Fails if the login may not use the keys beside the streams: quota, slots, answers and
    /// heartbeats. Without this a worker would wait for its quota without an end.
    pub async fn check_rights(&self) -> Result<()> {
        let mut command = cmd("EXISTS");
        command.arg(keys::quota("")).arg(keys::slots("")).arg(keys::heartbeat(""));
        command.arg(keys::CACHE_PREFIX);
        match self.query(&command, "", |_| Ok(())).await {
            Err(BrokerError::Refused { location, detail }) if detail.contains("NoPerm") => {
                let pattern = keys::BESIDE_STREAMS;
                let detail = format!("{detail}; the Redis user needs the keys ~{pattern} too");
                Err(BrokerError::Refused { location, detail })
            }
            // Whatever else is wrong is found by the first call that needs it.
            _ => Ok(()),
        }
    }

    pub async fn role(&self) -> Option<RedisRole> {
        let mut connection = self.server().dial_without_database().await?;
        connection.set_response_timeout(RESPONSE_LIMIT);
        let mut info = String::new();
        for section in ["server", "replication", "sentinel"] {
            let mut command = cmd("INFO");
            let text = command.arg(section).query_async::<String>(&mut connection).await;
            info.push_str(&text.unwrap_or_default());
        }
        RedisRole::of(&info)
    }
}
