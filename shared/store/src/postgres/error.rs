//! Errors of PostgreSQL: the class of each SQLSTATE, decided here once.
//!
//! A caller can wait, repeat the transaction, bisect the data, or ask a person.
//! Does not: read message texts; they differ by language and version.

use sqlx::Error;

use crate::error::StoreError;

const POOLER: &str = "the URL leads to a pooler in transaction mode: use PgBouncer 1.21 or newer with max_prepared_statements above 0, or its session mode";

pub(super) fn classify(error: Error, location: &str) -> StoreError {
    let class = match &error {
        Error::Database(error) => {
            error.code().map_or(PgErrorClass::Unexpected, |code| class_of(&code))
        }
        Error::Io(error) if isobar_tls::refusal(error).is_some() => PgErrorClass::Refused,
        // A connection that is cut while it opens gives an empty answer: a protocol error.
        Error::Io(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => PgErrorClass::Unavailable,
        Error::Configuration(_) | Error::Tls(_) => PgErrorClass::Refused,
        Error::Encode(_) => PgErrorClass::Data,
        _ => PgErrorClass::Unexpected,
    };
    let location = location.to_owned();
    let source = explained(error);
    match class {
        PgErrorClass::Unavailable => StoreError::Unavailable { location, source },
        PgErrorClass::Conflict => StoreError::Conflict { source },
        PgErrorClass::Data => StoreError::Data { source },
        PgErrorClass::Refused => StoreError::Refused { location, source },
        PgErrorClass::Unexpected => StoreError::Unexpected { location, source },
    }
}

/// Whether the other side is a pooler that takes no options of a session.
pub(super) fn refuses_options(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("08P01"))
}

/// The error, with what a person can do about it.
fn explained(error: Error) -> anyhow::Error {
    let advice = match &error {
        Error::Io(error) => isobar_tls::refusal(error),
        Error::Database(error) => match error.code().as_deref() {
            Some("42501") => Some("the role may not do this; as the owner of the database run GRANT USAGE, CREATE ON SCHEMA public TO the role".to_owned()),
            Some("42P05" | "26000") => Some(POOLER.to_owned()),
            _ => None,
        },
        _ => None,
    };
    let source = match &error {
        // Without the line of the server's own source, which the error would show.
        Error::Database(error) => match error.code() {
            Some(code) => anyhow::anyhow!("{} (SQLSTATE {code})", error.message()),
            None => anyhow::anyhow!("{}", error.message()),
        },
        _ => anyhow::Error::new(error),
    };
    match advice {
        Some(advice) => source.context(advice),
        None => source,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PgErrorClass {
    Unavailable,
    Conflict,
    Data,
    Refused,
    Unexpected,
}

fn class_of(sqlstate: &str) -> PgErrorClass {
    match sqlstate {
        // Serialisation failure, deadlock.
        "40001" | "40P01" => PgErrorClass::Conflict,
        // Read-only (a standby, a failover), the time limits of this client, a lock timeout.
        "25006" | "25P03" | "57014" | "55P03" => PgErrorClass::Unavailable,
        // The database does not exist, or the role may not do this. A pooler gives each statement
        // another session.
        "3D000" | "42501" | "42P05" | "26000" => PgErrorClass::Refused,
        _ if sqlstate.starts_with("57P") => PgErrorClass::Unavailable,
        _ => match sqlstate.get(..2) {
            // Connection, resources (disk, memory, connections), the server's own I/O.
            Some("08" | "53" | "58") => PgErrorClass::Unavailable,
            // Cardinality, data, constraint, and limits of a row (an index entry too long).
            Some("21" | "22" | "23" | "54") => PgErrorClass::Data,
            // Password, role.
            Some("28") => PgErrorClass::Refused,
            _ => PgErrorClass::Unexpected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_has_its_class() {
        for (code, expected) in [
            ("08006", PgErrorClass::Unavailable),
            ("57P01", PgErrorClass::Unavailable),
            ("57P03", PgErrorClass::Unavailable),
            ("57014", PgErrorClass::Unavailable),
            ("53100", PgErrorClass::Unavailable),
            ("53300", PgErrorClass::Unavailable),
            ("58030", PgErrorClass::Unavailable),
            ("25006", PgErrorClass::Unavailable),
            ("40001", PgErrorClass::Conflict),
            ("40P01", PgErrorClass::Conflict),
            ("40003", PgErrorClass::Unexpected),
            ("21000", PgErrorClass::Data),
            ("22021", PgErrorClass::Data),
            ("23514", PgErrorClass::Data),
            ("28P01", PgErrorClass::Refused),
            ("3D000", PgErrorClass::Refused),
            ("42501", PgErrorClass::Refused),
            ("42P01", PgErrorClass::Unexpected),
            ("42P05", PgErrorClass::Refused),
            // A pooler says so of a refused option, but also of a server that restarts.
            ("08P01", PgErrorClass::Unavailable),
            ("", PgErrorClass::Unexpected),
        ] {
            assert_eq!(class_of(code), expected, "{code}");
        }
    }

    #[test]
    fn a_full_pool_is_transient_unlike_a_wrong_url() {
        let timed_out = classify(Error::PoolTimedOut, "here");
        assert!(timed_out.is_transient(), "{timed_out}");
        let cut = classify(Error::Protocol("unexpected response".into()), "here");
        assert!(cut.is_transient(), "{cut}");
        let wrong = classify(Error::Configuration("no port".into()), "here");
        assert!(matches!(wrong, StoreError::Refused { .. }));
    }
}
