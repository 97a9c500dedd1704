//! What an error of Redis means, decided once, by its code.
//!
//! Codes and not texts: texts differ between versions and between Redis and Valkey. An error that
//! a command met inside a script keeps its code. What the caller does about each meaning is said
//! at [`BrokerError`]; whether the connection is still good is decided here as well.

use redis::{ErrorKind, RedisError};

use crate::BrokerError;

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No connection, or not one to a primary: it must be dropped and dialled again.
    Gone,
    NotReady,
    NoRoom,
    Missing,
    Refused,
    Unexpected,
}

/// A call that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub meaning: Meaning,
    pub error: RedisError,
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        // Of several commands, the first that failed has the code.
        let first = error.clone().into_server_errors();
        let error = match first.as_deref() {
            Some([(_, first), ..]) => first.clone().into(),
            _ => error,
        };
        Self { meaning: meaning(&error), error }
    }
}

impl Failure {
    /// A failure before the connection was ours. An odd answer there (`max number of clients
    /// reached` has no code of its own) passes, as a connection that breaks does.
    pub fn while_dialling(error: RedisError) -> Self {
        let mut failure = Self::from(error);
        if failure.meaning == Meaning::Unexpected {
            failure.meaning = Meaning::Gone;
        }
        failure
    }

    pub fn explain(self, location: &str, stream: &str) -> BrokerError {
        let location = location.to_owned();
        let detail = self.error.to_string();
        let source = anyhow::Error::new(self.error);
        match self.meaning {
            Meaning::Gone => BrokerError::Unavailable { broker: "Redis", location, source },
            Meaning::NotReady => BrokerError::NotReady { location, source },
            Meaning::NoRoom => BrokerError::NoRoom { location, source },
            Meaning::Missing => BrokerError::Missing { stream: stream.to_owned() },
            Meaning::Refused => BrokerError::Refused { location, detail },
            Meaning::Unexpected => BrokerError::Unexpected { location, source },
        }
    }
}

fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => Meaning::Gone,
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => Meaning::Refused,
        _ => error.code().map_or(Meaning::Unexpected, meaning_of_code),
    }
}

fn meaning_of_code(code: &str) -> Meaning {
    match code {
        "READONLY" | "MASTERDOWN" => Meaning::Gone,
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" => Meaning::NotReady,
        "OOM" | "MISCONF" | "NOREPLICAS" => Meaning::NoRoom,
        "NOGROUP" | "UNBLOCKED" => Meaning::Missing,
        "WRONGTYPE" | "NOAUTH" | "NOPERM" | "WRONGPASS" | "DENIED" => Meaning::Refused,
        _ => Meaning::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error")
    }

    #[test]
    fn an_error_means_what_its_code_says() {
        for (line, expected) in [
            ("READONLY You can't write against a read only replica.", Meaning::Gone),
            ("MASTERDOWN Link with MASTER is down", Meaning::Gone),
            ("LOADING Redis is loading the dataset in memory", Meaning::NotReady),
            ("BUSY Redis is busy running a script", Meaning::NotReady),
            ("TRYAGAIN Multiple keys request during rehashing", Meaning::NotReady),
            ("CLUSTERDOWN The cluster is down", Meaning::NotReady),
            ("OOM command not allowed when used memory > 'maxmemory'.", Meaning::NoRoom),
            ("MISCONF Redis is configured to save RDB snapshots", Meaning::NoRoom),
            ("NOREPLICAS Not enough good replicas to write.", Meaning::NoRoom),
            ("NOGROUP No such key 's' or consumer group 'g'", Meaning::Missing),
            ("UNBLOCKED the stream key no longer exists", Meaning::Missing),
            ("WRONGTYPE Operation against a key", Meaning::Refused),
            ("NOAUTH Authentication required.", Meaning::Refused),
            ("NOPERM this user has no permissions", Meaning::Refused),
            ("WRONGPASS invalid username-password pair", Meaning::Refused),
            ("DENIED Redis is running in protected mode", Meaning::Refused),
            ("ERR value is not an integer", Meaning::Unexpected),
        ] {
            assert_eq!(meaning(&said(line)), expected, "{line}");
        }
    }

    #[test]
    fn what_breaks_before_the_connection_stands_may_pass() {
        let crowded = said("ERR max number of clients reached");
        assert_eq!(Failure::while_dialling(crowded.clone()).meaning, Meaning::Gone);
        assert_eq!(Failure::from(crowded).meaning, Meaning::Unexpected);
        let refused = said("WRONGPASS invalid username-password pair");
        assert_eq!(Failure::while_dialling(refused).meaning, Meaning::Refused);
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(Failure::from(broken).meaning, Meaning::Gone);
    }
}
