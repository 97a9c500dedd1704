//! Flags: one hash beside the stream, read whole and changed one field at a time.

use redis::{Pipeline, Value};

use super::broker::RedisBroker;
use super::reply;
use crate::error::Result;
use crate::flags::{Flag, Flags, SetBy};
use crate::topic::Topic;

impl RedisBroker {
    pub async fn flags(&self, topic: &Topic) -> Result<Flags> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&topic.flags);
        self.query(&command, &topic.stream, flags).await
    }

    pub async fn set_flag(&self, topic: &Topic, flag: &Flag, set_by: &SetBy) -> Result<SetBy> {
        let command = if flag.is_replaced_on_set() { "HSET" } else { "HSETNX" };
        let value = serde_json::to_string(set_by).expect("plain data");
        // One transaction, because another client could clear the flag between the two commands.
        let mut commands = Pipeline::new();
        commands.atomic().cmd(command).arg(&topic.flags).arg(flag.name()).arg(value);
        commands.cmd("HGET").arg(&topic.flags).arg(flag.name());
        self.pipeline(&commands, &topic.stream, flag_after).await
    }

    pub async fn clear_flag(&self, topic: &Topic, flag: &Flag) -> Result<bool> {
        let mut command = redis::cmd("HDEL");
        command.arg(&topic.flags).arg(flag.name());
        self.query(&command, &topic.stream, |reply| Ok(reply::count(&reply)? > 0)).await
    }
}

fn flags(reply: Value) -> anyhow::Result<Flags> {
    let texts: Vec<String> =
        reply::list(reply)?.into_iter().map(reply::text).collect::<anyhow::Result<_>>()?;
    let pairs = texts.as_chunks::<2>().0.iter();
    Ok(Flags::read(pairs.map(|[name, value]| (name.as_str(), value.as_str()))))
}

/// The flag after the command, which is the last reply.
fn flag_after(mut replies: Vec<Value>) -> anyhow::Result<SetBy> {
    let last = replies.pop().unwrap_or(Value::Nil);
    Ok(serde_json::from_slice(&reply::bytes(last)?)?)
}
