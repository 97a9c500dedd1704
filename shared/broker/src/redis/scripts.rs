//! The Lua scripts, and the call of one with its keys and arguments.
//!
//! There is one `.lua` file for each transition; its head names KEYS, ARGV and the result. Scripts
//! are called by their hash; [`Connection::call`](super::connection::Connection::call) sends the
//! text when Redis does not know it.

use std::sync::LazyLock;

use redis::{Cmd, Script, ToRedisArgs};

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file, ".lua"))));)*
    };
}

scripts! {
    ACK = "ack";
    ADOPT_ORPHANS = "adopt_orphans";
    APPEND = "append";
    BATCH_RECORDS = "batch_records";
    CLAIM = "claim";
    CONSUMERS = "consumers";
    DEPTH = "depth";
    END_JOB = "end_job";
    FORGET_BATCHES = "forget_batches";
    GIVE_BACK = "give_back";
    HEAL = "heal";
    OWNED = "owned";
    PUBLISHER = "publisher";
    QUOTA_RESERVE = "quota_reserve";
    QUOTA_SETTLE = "quota_settle";
    QUOTA_SHUT = "quota_shut";
    QUOTA_USE = "quota_use";
    REMOVE_CONSUMER = "remove_consumer";
    RENEW = "renew";
    SET_STORE = "set_store";
    SLOT_ACQUIRE = "slot_acquire";
    TAKE_OVER = "take_over";
}

/// A script with its keys and arguments.
#[derive(Debug)]
pub(super) struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Call {
    pub fn new(script: &'static LazyLock<Script>, keys: &[&str]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(keys.len()).arg(keys);
        Self { script, command }
    }

    pub fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn push(&mut self, argument: impl ToRedisArgs) {
        self.command.arg(argument);
    }

    pub fn script(&self) -> &'static Script {
        self.script
    }

    pub fn command(&self) -> &Cmd {
        &self.command
    }
}
