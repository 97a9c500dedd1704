//! Errors: what can go wrong in a store, by what the caller does about it.
//!
//! Guarantees: a text names the store's location, never its password.
//! Next: `error.rs` of each backend, which decides the variant once.

pub type Result<T> = std::result::Result<T, StoreError>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Down, restarting, busy, out of connections, read-only for now: wait and retry.
    #[error("the store at {location} is not available")]
    Unavailable {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// Serialisation failure or deadlock (40001, 40P01): run the whole transaction again.
    #[error("the transaction conflicted with another")]
    Conflict {
        #[source]
        source: anyhow::Error,
    },
    /// The data itself cannot be stored (SQLSTATE 21, 22, 23, 54): bisect to isolate the row.
    #[error("the store rejected this data")]
    Data {
        #[source]
        source: anyhow::Error,
    },
    /// Written by a newer version: exit 78.
    #[error(
        "the store at {location} has schema {found}, this isobar knows {known}; use the newer isobar"
    )]
    NewerSchema { location: String, found: u32, known: u32 },
    /// Wrong password, missing database, missing rights: a person must change it. Exit 78.
    #[error("the store at {location} rejected the request")]
    Refused {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// An internal error.
    #[error("unexpected answer from the store at {location}")]
    Unexpected {
        location: String,
        #[source]
        source: anyhow::Error,
    },
}

impl StoreError {
    /// Whether a retry may succeed without a change by a person.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }
}
