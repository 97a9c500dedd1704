//! The pipelines as a table: what each is called, which stream its tasks take, whose outbox they
//! wait in.
//!
//! Users, addresses and cards are produced apart and worked on together: they share a stream, a
//! group and an outbox, so that a sync of cities that waits for quota never holds a user up. A
//! further pipeline is a variant here, a source in the producer and a worker's `Pipeline`.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::broker::{Broker, BrokerError, Depth, Topic};
use crate::config::Settings;
use crate::config::values::one_of;

one_of! {
    /// What can be produced.
    PipelineName { Weather = "weather", Users = "users", Addresses = "addresses", Cards = "cards" }
}

/// The outbox of users lies beside that of cities, under its name with this at the end.
const USERS_SUFFIX: &str = "-users";

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

    pub fn topic(self, settings: &Settings) -> Topic {
        match self.stream() {
            Self::Weather => Topic::new(&settings.stream, &settings.group),
            _ => Topic::new(&settings.user_stream, &settings.user_group),
        }
    }

    /// How much of its stream is unfinished; one that nobody has made yet is empty.
    pub async fn depth(self, broker: &Broker, settings: &Settings) -> Result<Depth, BrokerError> {
        match broker.depth(&self.topic(settings), settings.claim_idle.0).await {
            Err(BrokerError::Missing { .. }) => Ok(Depth::default()),
            depth => depth,
        }
    }

    /// That of each stream.
    pub async fn depths(
        broker: &Broker,
        settings: &Settings,
    ) -> Result<HashMap<Self, Depth>, BrokerError> {
        let [weather, users] = Self::STREAMS;
        let (of_weather, of_users) =
            tokio::try_join!(weather.depth(broker, settings), users.depth(broker, settings))?;
        Ok([(weather, of_weather), (users, of_users)].into())
    }

    /// The outbox of its cron runs.
    pub fn outbox(self, settings: &Settings) -> PathBuf {
        let cities = settings.outbox_path();
        if self.stream() == Self::Weather {
            return cities;
        }
        let mut name = cities.file_stem().unwrap_or_default().to_owned();
        name.push(USERS_SUFFIX);
        match cities.extension() {
            Some(extension) => cities.with_file_name(name).with_added_extension(extension),
            None => cities.with_file_name(name),
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// Every outbox that a data dir may hold: those of the cron runs, and that of imports.
pub fn outboxes(settings: &Settings) -> Vec<PathBuf> {
    let of_runs = PipelineName::STREAMS.map(|pipeline| pipeline.outbox(settings));
    of_runs.into_iter().chain([settings.imports_path()]).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn the_outbox_of_users_lies_beside_that_of_cities() {
        let at = |path: &str| {
            let environment = Environment::empty().with("ISOBAR_OUTBOX", path);
            let settings = Settings::load(&environment).expect("fits");
            PipelineName::Cards.outbox(&settings).display().to_string()
        };
        assert_eq!(at("/x/outbox.db"), "/x/outbox-users.db");
        assert_eq!(at("/x/outbox"), "/x/outbox-users");
    }

    #[test]
    fn streams_are_apart_and_the_three_of_users_are_one() {
        let settings = Settings::defaults();
        let [weather, users] = PipelineName::STREAMS.map(|pipeline| pipeline.topic(&settings));
        assert_ne!(weather, users);
        assert_eq!(PipelineName::Addresses.topic(&settings), users);
    }
}
