//! Switches: one hash beside the stream, read whole and changed one field at a time.

use redis::{Pipeline, Value};

use super::{RedisBroker, Result, reply};
use crate::{Switch, Switches, Thrown, Topic};

impl RedisBroker {
    pub async fn switches(&self, topic: &Topic) -> Result<Switches> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&topic.switches);
        let answer = self.query(&command, &topic.stream).await?;
        switches(answer).map_err(|error| self.odd(error))
    }

    pub async fn throw(&self, topic: &Topic, switch: &Switch, thrown: &Thrown) -> Result<Thrown> {
        let command = if switch.is_renewed() { "HSET" } else { "HSETNX" };
        let value = serde_json::to_string(thrown).expect("plain data");
        // In one transaction, or it could be let go of between the two.
        let mut commands = Pipeline::new();
        commands.atomic().cmd(command).arg(&topic.switches).arg(switch.name()).arg(value);
        commands.cmd("HGET").arg(&topic.switches).arg(switch.name());
        let answers = self.inner.main.pipeline(&commands).await;
        let answers = answers.map_err(|failure| self.failed(failure, &topic.stream))?;
        stands(answers).map_err(|error| self.odd(error))
    }

    pub async fn let_go(&self, topic: &Topic, switch: &Switch) -> Result<bool> {
        let mut command = redis::cmd("HDEL");
        command.arg(&topic.switches).arg(switch.name());
        let answer = self.query(&command, &topic.stream).await?;
        Ok(reply::count(&answer).map_err(|error| self.odd(error))? > 0)
    }
}

fn switches(answer: Value) -> anyhow::Result<Switches> {
    let texts: Vec<String> =
        reply::list(answer)?.into_iter().map(reply::text).collect::<anyhow::Result<_>>()?;
    let pairs = texts.as_chunks::<2>().0.iter();
    Ok(Switches::read(pairs.map(|[name, value]| (name.as_str(), value.as_str()))))
}

/// What stands there after the command, which is the last answer.
fn stands(mut answers: Vec<Value>) -> anyhow::Result<Thrown> {
    let last = answers.pop().unwrap_or(Value::Nil);
    Ok(serde_json::from_slice(&reply::bytes(last)?)?)
}
