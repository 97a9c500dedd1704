//! What PostgreSQL's refusals mean to a caller, by SQLSTATE, decided here once.
//!
//! Waiting may mend it, running it again may, bisecting the data may, or only a person can: that is
//! all that callers ask. Message texts are never looked at; they differ by language and version.

use sqlx::Error;

use crate::StoreError;

pub(super) fn classify(error: Error, location: &str) -> StoreError {
    let meaning = match &error {
        Error::Database(refusal) => {
            refusal.code().map_or(Meaning::Unexpected, |code| meaning(&code))
        }
        // A connection that is cut while it is opened answers with nothing, which no protocol is.
        Error::Io(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => Meaning::Unavailable,
        Error::Configuration(_) | Error::Tls(_) => Meaning::Refused,
        Error::Encode(_) => Meaning::Data,
        _ => Meaning::Unexpected,
    };
    let location = location.to_owned();
    let source = anyhow::Error::new(error);
    match meaning {
        Meaning::Unavailable => StoreError::Unavailable { location, source },
        Meaning::Conflict => StoreError::Conflict { source },
        Meaning::Data => StoreError::Data { source },
        Meaning::Refused => StoreError::Refused { location, source },
        Meaning::Unexpected => StoreError::Unexpected { location, source },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Unavailable,
    Conflict,
    Data,
    Refused,
    Unexpected,
}

fn meaning(sqlstate: &str) -> Meaning {
    match sqlstate {
        // Serialisation failure, deadlock.
        "40001" | "40P01" => Meaning::Conflict,
        // Read-only (a standby, a failover under way), our own time limits, a lock not to be had.
        "25006" | "25P03" | "57014" | "55P03" => Meaning::Unavailable,
        // No such database, no right to do this.
        "3D000" | "42501" => Meaning::Refused,
        _ if sqlstate.starts_with("57P") => Meaning::Unavailable,
        _ => match sqlstate.get(..2) {
            // Connection, resources (disk, memory, connections), the server's own I/O.
            Some("08" | "53" | "58") => Meaning::Unavailable,
            // Cardinality, data, constraint, and limits that only this row meets (an index entry
            // too long).
            Some("21" | "22" | "23" | "54") => Meaning::Data,
            // Password, role.
            Some("28") => Meaning::Refused,
            _ => Meaning::Unexpected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_refusal_has_its_meaning() {
        for (code, expected) in [
            ("08006", Meaning::Unavailable),
            ("57P01", Meaning::Unavailable),
            ("57P03", Meaning::Unavailable),
            ("57014", Meaning::Unavailable),
            ("53100", Meaning::Unavailable),
            ("53300", Meaning::Unavailable),
            ("58030", Meaning::Unavailable),
            ("25006", Meaning::Unavailable),
            ("40001", Meaning::Conflict),
            ("40P01", Meaning::Conflict),
            ("40003", Meaning::Unexpected),
            ("21000", Meaning::Data),
            ("22021", Meaning::Data),
            ("23514", Meaning::Data),
            ("28P01", Meaning::Refused),
            ("3D000", Meaning::Refused),
            ("42501", Meaning::Refused),
            ("42P01", Meaning::Unexpected),
            ("", Meaning::Unexpected),
        ] {
            assert_eq!(meaning(code), expected, "{code}");
        }
    }

    #[test]
    fn a_full_pool_and_a_cut_greeting_are_waited_for_and_a_wrong_url_is_not() {
        let timed_out = classify(Error::PoolTimedOut, "here");
        assert!(timed_out.is_transient(), "{timed_out}");
        let cut = classify(Error::Protocol("unexpected response".into()), "here");
        assert!(cut.is_transient(), "{cut}");
        let wrong = classify(Error::Configuration("no port".into()), "here");
        assert!(matches!(wrong, StoreError::Refused { .. }));
    }
}
