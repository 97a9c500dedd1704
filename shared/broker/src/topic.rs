//! One stream with its consumer group, and the names that are derived from it.

use super::{Lane, keys};
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;

/// One stream with its group and the names derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub stream: String,
    pub group: String,
    pub control: String,
    pub watermarks: String,
    pub epoch: String,
    pub switches: String,
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
            switches: tagged("switches"),
            attempts: tagged("attempts"),
            control_attempts: tagged("control:attempts"),
        }
    }

    /// The stream that a pipeline's tasks take.
    pub fn of(pipeline: PipelineName, settings: &Settings) -> Self {
        match pipeline.stream() {
            PipelineName::Weather => Self::new(&settings.stream, &settings.group),
            _ => Self::new(&settings.user_stream, &settings.user_group),
        }
    }

    /// The weather tasks of this installation.
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
    fn streams_are_apart_and_the_three_of_users_are_one() {
        let settings = Settings::defaults();
        let [weather, users] =
            [PipelineName::Weather, PipelineName::Users].map(|name| Topic::of(name, &settings));
        assert_ne!(weather, users);
        assert_eq!(Topic::of(PipelineName::Addresses, &settings), users);
    }
}
