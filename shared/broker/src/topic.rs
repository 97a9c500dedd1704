//! Topics: one stream, its consumer group, and the Redis keys derived from the stream's name.
//!
//! Guarantees: weather has a stream of its own; users, addresses and cards share one.

use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;

use crate::keys;
use crate::lane::Lane;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub stream: String,
    pub group: String,
    pub control: String,
    pub watermarks: String,
    pub epoch: String,
    pub batches: String,
    pub spans: String,
    pub ended: String,
    pub store: String,
    pub flags: String,
    attempts: String,
    control_attempts: String,
}

impl Topic {
    pub fn new(stream: &str, group: &str) -> Self {
        let tagged = |suffix: &str| keys::derived(stream, suffix);
        Self {
            stream: stream.to_owned(),
            group: group.to_owned(),
            control: tagged("control"),
            watermarks: tagged("watermarks"),
            epoch: tagged("epoch"),
            batches: tagged("batches"),
            spans: tagged("spans"),
            ended: tagged("ended"),
            store: tagged("store"),
            flags: tagged("switches"),
            attempts: tagged("attempts"),
            control_attempts: tagged("control:attempts"),
        }
    }

    /// The topic of a pipeline's tasks.
    pub fn of(pipeline: PipelineName, settings: &Settings) -> Self {
        let (stream, group) = settings.stream_of(pipeline);
        Self::new(stream, group)
    }

    pub fn weather(settings: &Settings) -> Self {
        Self::of(PipelineName::Weather, settings)
    }

    /// The stream of a lane.
    pub fn lane(&self, lane: Lane) -> &str {
        match lane {
            Lane::Tasks => &self.stream,
            Lane::Control => &self.control,
        }
    }

    pub fn attempts(&self, lane: Lane) -> &str {
        match lane {
            Lane::Tasks => &self.attempts,
            Lane::Control => &self.control_attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_addresses_and_cards_share_one_stream() {
        let settings = Settings::defaults();
        let [weather, users] =
            [PipelineName::Weather, PipelineName::Users].map(|name| Topic::of(name, &settings));
        assert_ne!(weather, users);
        assert_eq!(Topic::of(PipelineName::Addresses, &settings), users);
    }
}
