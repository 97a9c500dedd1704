//! The pipelines: their names, and whose stream each one shares.
//!
//! Users, addresses and cards are produced apart and worked on together: they share a stream, a
//! group and an outbox, so that a sync of cities that waits for quota never delays a user.

use crate::string_enum;

string_enum! {
    /// What can be produced.
    PipelineName { Weather = "weather", Users = "users", Addresses = "addresses", Cards = "cards" }
}

impl PipelineName {
    /// Those that have a stream of their own, and workers.
    pub const STREAMS: [Self; 2] = [Self::Weather, Self::Users];

    /// Whose stream its tasks take.
    #[must_use]
    pub fn stream(self) -> Self {
        match self {
            Self::Weather => Self::Weather,
            Self::Users | Self::Addresses | Self::Cards => Self::Users,
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

impl serde::Serialize for PipelineName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for PipelineName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// What was written before there were others.
impl Default for PipelineName {
    fn default() -> Self {
        Self::Weather
    }
}
