//! Broker errors, one variant for each thing that a caller can do about them.
//!
//! Does not: retry. ARCHITECTURE.md, "Who retries what", says which caller waits how long.

pub(crate) type Result<T> = std::result::Result<T, BrokerError>;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or not to a primary: redial and try again.
    #[error("{broker} is not answering at {location}")]
    Unavailable {
        broker: &'static str,
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// The server is loading or between primaries: wait on the same connection.
    #[error("{location} is not ready yet")]
    NotReady {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// It refuses writes that need memory: stop producing, keep draining.
    #[error("{location} is out of memory or cannot persist")]
    NoRoom {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// The stream or its group is missing: heal.
    #[error("the stream {stream} or its group is missing")]
    Missing { stream: String },
    /// A person must correct the configuration: exit 78.
    #[error("{location} rejected the request: {detail}")]
    Refused { location: String, detail: String },
    /// An internal error, or another client wrote into our keys.
    #[error("{location} returned an invalid response")]
    Unexpected {
        location: String,
        #[source]
        source: anyhow::Error,
    },
}

impl BrokerError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::NotReady { .. }
                | Self::NoRoom { .. }
                | Self::Missing { .. }
        )
    }
}
