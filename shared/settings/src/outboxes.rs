//! The outbox files: one for the cron runs of each stream, and one for imports.

use std::path::PathBuf;

use isobar_model::pipeline::PipelineName;

use crate::table::Settings;

/// The stream of air quality tasks and its group, which need no setting of their own.
const AIR_QUALITY_STREAM: (&str, &str) = ("air-quality-stream", "air-quality-workers");

impl Settings {
    /// The stream of a pipeline's tasks, and its consumer group.
    pub fn stream_of(&self, pipeline: PipelineName) -> (&str, &str) {
        match pipeline {
            PipelineName::Weather => (&self.stream, &self.group),
            PipelineName::Air => AIR_QUALITY_STREAM,
            PipelineName::Users | PipelineName::Addresses | PipelineName::Cards => {
                (&self.user_stream, &self.user_group)
            }
        }
    }

    /// The outbox of a pipeline's cron runs.
    pub fn outbox_of(&self, pipeline: PipelineName) -> PathBuf {
        let cities = self.outbox_path();
        if pipeline.stream() == PipelineName::Weather {
            return cities;
        }
        // It is in the folder of the outbox of cities; its name ends with the stream's name.
        let mut name = cities.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{}", pipeline.stream()));
        match cities.extension() {
            Some(extension) => cities.with_file_name(name).with_added_extension(extension),
            None => cities.with_file_name(name),
        }
    }

    /// Every outbox that may exist.
    pub fn outboxes(&self) -> Vec<PathBuf> {
        let cron_outboxes = PipelineName::streams().map(|pipeline| self.outbox_of(pipeline));
        cron_outboxes.chain([self.imports_path()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn the_outbox_of_users_is_beside_the_one_of_cities() {
        let at = |path: &str| {
            let environment = Environment::empty().with("ISOBAR_OUTBOX", path);
            let settings = Settings::load(&environment).expect("fits");
            settings.outbox_of(PipelineName::Cards).display().to_string()
        };
        assert_eq!(at("/x/outbox.db"), "/x/outbox-users.db");
        assert_eq!(at("/x/outbox"), "/x/outbox-users");
    }
}
