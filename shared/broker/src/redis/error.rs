//! Redis errors, classified once, by their code.
//!
//! Guarantees: codes decide and not texts, because texts differ between versions and between Redis
//! and Valkey. An error inside a script keeps its code. [`BrokerError`] says what a caller does
//! about each class; this file also decides whether the connection is still usable.

use redis::{ErrorKind, RedisError};

use crate::error::BrokerError;

/// What a caller can do about an error; see [`BrokerError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisErrorClass {
    /// No connection, or not to a primary: drop it and dial again.
    Disconnected,
    NotReady,
    NoRoom,
    Missing,
    Refused,
    Unexpected,
}

/// A call that failed.
#[derive(Clone, Debug)]
pub(super) struct CallError {
    pub class: RedisErrorClass,
    pub error: RedisError,
}

impl From<RedisError> for CallError {
    fn from(error: RedisError) -> Self {
        // In a pipeline the first failed command has the code.
        let first = error.clone().into_server_errors();
        let error = match first.as_deref() {
            Some([(_, first), ..]) => first.clone().into(),
            _ => error,
        };
        let class = match classify(&error) {
            // Waiting does not make a certificate right.
            RedisErrorClass::Disconnected if isobar_tls::refusal(&error).is_some() => {
                RedisErrorClass::Refused
            }
            class => class,
        };
        Self { class, error }
    }
}

impl CallError {
    /// An error before the login was complete. An unknown error there is transient, like a broken
    /// connection: `max number of clients reached` has no code of its own.
    pub fn while_dialling(error: RedisError) -> Self {
        let mut call_error = Self::from(error);
        if call_error.class == RedisErrorClass::Unexpected {
            call_error.class = RedisErrorClass::Disconnected;
        }
        call_error
    }

    pub fn into_broker_error(self, location: &str, stream: &str) -> BrokerError {
        let location = location.to_owned();
        let detail = isobar_tls::refusal(&self.error).unwrap_or_else(|| self.error.to_string());
        // A replica answers; what is missing is the primary.
        let is_replica = matches!(self.error.code(), Some("READONLY" | "MASTERDOWN"));
        let awaited = if is_replica { "a Redis primary" } else { "Redis" };
        let source = anyhow::Error::new(self.error);
        match self.class {
            RedisErrorClass::Disconnected => {
                BrokerError::Unavailable { broker: awaited, location, source }
            }
            RedisErrorClass::NotReady => BrokerError::NotReady { location, source },
            RedisErrorClass::NoRoom => BrokerError::NoRoom { location, source },
            RedisErrorClass::Missing => BrokerError::Missing { stream: stream.to_owned() },
            RedisErrorClass::Refused => BrokerError::Refused { location, detail },
            RedisErrorClass::Unexpected => BrokerError::Unexpected { location, source },
        }
    }
}

fn classify(error: &RedisError) -> RedisErrorClass {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => RedisErrorClass::Disconnected,
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
            RedisErrorClass::Refused
        }
        _ => error.code().map_or(RedisErrorClass::Unexpected, class_of_code),
    }
}

fn class_of_code(code: &str) -> RedisErrorClass {
    match code {
        "READONLY" | "MASTERDOWN" => RedisErrorClass::Disconnected,
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" => RedisErrorClass::NotReady,
        "OOM" | "MISCONF" | "NOREPLICAS" => RedisErrorClass::NoRoom,
        "NOGROUP" | "UNBLOCKED" => RedisErrorClass::Missing,
        "WRONGTYPE" | "NOAUTH" | "NOPERM" | "WRONGPASS" | "DENIED" => RedisErrorClass::Refused,
        _ => RedisErrorClass::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error")
    }

    #[test]
    fn the_code_of_an_error_decides_its_class() {
        for (line, expected) in [
            (
                "READONLY You can't write against a read only replica.",
                RedisErrorClass::Disconnected,
            ),
            ("MASTERDOWN Link with MASTER is down", RedisErrorClass::Disconnected),
            ("LOADING Redis is loading the dataset in memory", RedisErrorClass::NotReady),
            ("BUSY Redis is busy running a script", RedisErrorClass::NotReady),
            ("TRYAGAIN Multiple keys request during rehashing", RedisErrorClass::NotReady),
            ("CLUSTERDOWN The cluster is down", RedisErrorClass::NotReady),
            ("OOM command not allowed when used memory > 'maxmemory'.", RedisErrorClass::NoRoom),
            ("MISCONF Redis is configured to save RDB snapshots", RedisErrorClass::NoRoom),
            ("NOREPLICAS Not enough good replicas to write.", RedisErrorClass::NoRoom),
            ("NOGROUP No such key 's' or consumer group 'g'", RedisErrorClass::Missing),
            ("UNBLOCKED the stream key no longer exists", RedisErrorClass::Missing),
            ("WRONGTYPE Operation against a key", RedisErrorClass::Refused),
            ("NOAUTH Authentication required.", RedisErrorClass::Refused),
            ("NOPERM this user has no permissions", RedisErrorClass::Refused),
            ("WRONGPASS invalid username-password pair", RedisErrorClass::Refused),
            ("DENIED Redis is running in protected mode", RedisErrorClass::Refused),
            ("ERR value is not an integer", RedisErrorClass::Unexpected),
        ] {
            assert_eq!(classify(&reply(line)), expected, "{line}");
        }
    }

    #[test]
    fn unknown_errors_while_dialling_are_transient() {
        let crowded = reply("ERR max number of clients reached");
        assert_eq!(CallError::while_dialling(crowded.clone()).class, RedisErrorClass::Disconnected);
        assert_eq!(CallError::from(crowded).class, RedisErrorClass::Unexpected);
        let refused = reply("WRONGPASS invalid username-password pair");
        assert_eq!(CallError::while_dialling(refused).class, RedisErrorClass::Refused);
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(CallError::from(broken).class, RedisErrorClass::Disconnected);
    }
}
