//! Pipelines: one table of what each produces and which stream its tasks use.
//!
//! Users, addresses and cards share a stream, a group and an outbox. So a sync of cities that waits
//! for quota never delays a user.
//! Guarantees: every difference between pipelines that needs no code is a column here. Settings,
//! outboxes, relays, schedules, workers and pages loop over [`PIPELINES`].
//! Next: the producer's `source/job_spec.rs` (sources of rows) and the consumer's `pipeline/` (what
//! a worker does with a task).

use crate::string_enum;

string_enum! {
    /// The name of a pipeline, as commands, tables and metrics spell it.
    serde PipelineName { Weather = "weather", Air = "air", Users = "users", Addresses = "addresses", Cards = "cards" }
}

/// One pipeline.
#[derive(Clone, Copy, Debug)]
pub struct PipelineSpec {
    pub name: PipelineName,
    /// The pipeline whose stream, group, outbox and workers it uses: its own name, or another one.
    pub stream: PipelineName,
    pub rows: RowKind,
    /// The schedule that produces it.
    pub schedule: &'static str,
    /// The default expression of that schedule, once the URL of its source is set.
    pub default_cron: Option<&'static str>,
    /// Whether its workers stop reading while the quota is exhausted or the breaker is open.
    /// Workers that query several upstreams for one stream give such tasks back instead.
    pub pauses_reading: bool,
}

/// The rows of a pipeline's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Cities: from a city service, a file or the built-in list.
    Cities,
    /// Users, from a user service.
    Users,
    /// Users of the store who have no address or no card.
    Incomplete(Enrichment),
}

string_enum! {
    /// What a worker adds to a user.
    serde Enrichment { Address = "address", Card = "card" }
}

/// In the order of [`PipelineName::ALL`].
pub const PIPELINES: [PipelineSpec; PipelineName::ALL.len()] = [
    PipelineSpec {
        name: PipelineName::Weather,
        stream: PipelineName::Weather,
        rows: RowKind::Cities,
        schedule: "sync",
        default_cron: None,
        pauses_reading: true,
    },
    PipelineSpec {
        name: PipelineName::Air,
        stream: PipelineName::Air,
        rows: RowKind::Cities,
        schedule: "air",
        default_cron: None,
        pauses_reading: true,
    },
    PipelineSpec {
        name: PipelineName::Users,
        stream: PipelineName::Users,
        rows: RowKind::Users,
        schedule: "users",
        default_cron: Some("@every 300s"),
        pauses_reading: false,
    },
    PipelineSpec {
        name: PipelineName::Addresses,
        stream: PipelineName::Users,
        rows: RowKind::Incomplete(Enrichment::Address),
        schedule: "addresses",
        default_cron: Some("@every 600s"),
        pauses_reading: false,
    },
    PipelineSpec {
        name: PipelineName::Cards,
        stream: PipelineName::Users,
        rows: RowKind::Incomplete(Enrichment::Card),
        schedule: "cards",
        default_cron: Some("@every 900s"),
        pauses_reading: false,
    },
];

/// The names of the streams, for the constant labels of metrics.
pub const STREAM_NAMES: [&str; stream_count()] = {
    let mut names = [""; stream_count()];
    let (mut row, mut count) = (0, 0);
    while row < PIPELINES.len() {
        if PIPELINES[row].has_own_stream() {
            names[count] = PIPELINES[row].name.as_str();
            count += 1;
        }
        row += 1;
    }
    names
};

const fn stream_count() -> usize {
    let (mut row, mut count) = (0, 0);
    while row < PIPELINES.len() {
        count += PIPELINES[row].has_own_stream() as usize;
        row += 1;
    }
    count
}

impl PipelineSpec {
    const fn has_own_stream(&self) -> bool {
        self.name as usize == self.stream as usize
    }
}

impl PipelineName {
    pub fn spec(self) -> &'static PipelineSpec {
        &PIPELINES[self as usize]
    }

    /// The pipeline whose stream its tasks take.
    #[must_use]
    pub fn stream(self) -> Self {
        self.spec().stream
    }

    /// The pipelines with a stream, an outbox and workers of their own.
    pub fn streams() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|name| name.spec().has_own_stream())
    }

    /// The pipeline that a schedule produces.
    pub fn of_schedule(schedule: &str) -> Option<Self> {
        PIPELINES.iter().find(|spec| spec.schedule == schedule).map(|spec| spec.name)
    }
}

/// The pipeline of data from before there was a second one.
impl Default for PipelineName {
    fn default() -> Self {
        Self::Weather
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pipeline_has_its_row_and_its_schedule() {
        for name in PipelineName::ALL {
            assert_eq!(name.spec().name, name);
            assert_eq!(PipelineName::of_schedule(name.spec().schedule), Some(name));
            assert_eq!(name.stream().stream(), name.stream(), "a stream uses itself");
        }
        assert!(PipelineName::streams().map(PipelineName::as_str).eq(STREAM_NAMES));
    }
}
