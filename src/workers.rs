//! The workers of a process: one for each stream that it works on, started and ended together.
//!
//! If one fails the others are stopped, so that no process lives on as half of what it was started
//! as. Their endings are told as one.

use std::sync::Arc;

use anyhow::Context;
use isobar_consumer::{Ending, Left, PeoplePipeline, Tally, Until, WeatherPipeline, Worker};
use isobar_model::pipeline::PipelineName;
use isobar_upstream::Providers;
use isobar_upstream::card_key;
use tokio_util::sync::CancellationToken;

use crate::context::Parts;

/// Whose tasks are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    Weather,
    Users,
    All,
}

pub struct Workers {
    weather: Option<Worker<WeatherPipeline>>,
    people: Option<Worker<PeoplePipeline>>,
    stop: CancellationToken,
}

impl Which {
    fn has(self, pipeline: PipelineName) -> bool {
        match self {
            Self::All => true,
            Self::Weather => pipeline == PipelineName::Weather,
            Self::Users => pipeline == PipelineName::Users,
        }
    }
}

impl Workers {
    /// `name` is a stem; each worker adds what makes it unique.
    pub fn open(
        which: Which,
        parts: &Parts,
        name: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let stop = shutdown.child_token();
        let weather = which
            .has(PipelineName::Weather)
            .then(|| {
                WeatherPipeline::new(
                    parts.settings.clone(),
                    parts.upstream.clone(),
                    parts.store.clone(),
                )
            })
            .map(|pipeline| parts.worker(pipeline, name, &stop));
        let people = if which.has(PipelineName::Users) {
            let key = card_key::open(&parts.settings).context("cannot open the key of cards")?;
            let providers = Providers::beside(&parts.upstream, key);
            let pipeline = PeoplePipeline::new(&parts.settings, providers, parts.store.clone());
            Some(parts.worker(pipeline, name, &stop))
        } else {
            None
        };
        Ok(Self { weather, people, stop })
    }

    /// What they have done so far; may be kept while they run.
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        let weather = self.weather.as_ref().map(Worker::tally);
        let people = self.people.as_ref().map(Worker::tally);
        weather.into_iter().chain(people).collect()
    }

    pub async fn run(self, until: Until) -> anyhow::Result<Ending> {
        let Self { weather, people, stop } = self;
        let weather = async {
            match weather {
                Some(worker) => worker.run(until).await.inspect_err(|_| stop.cancel()),
                None => Ok(Ending::default()),
            }
        };
        let people = async {
            match people {
                Some(worker) => worker.run(until).await.inspect_err(|_| stop.cancel()),
                None => Ok(Ending::default()),
            }
        };
        let (weather, people) = Box::pin(async { tokio::join!(weather, people) }).await;
        Ok(together(weather?, people?))
    }
}

fn together(one: Ending, other: Ending) -> Ending {
    let left = match (one.left, other.left) {
        // What a person must mend is said first.
        (Some(Left::Later(_)) | None, Some(why @ Left::Config(_))) => Some(why),
        (why, other) => why.or(other),
    };
    Ending {
        entries: one.entries + other.entries,
        succeeded: one.succeeded + other.succeeded,
        failed: one.failed + other.failed,
        skipped: one.skipped + other.skipped,
        dead: one.dead + other.dead,
        left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_mend_is_said_before_what_waits() {
        let ending = |left| Ending { entries: 2, left, ..Ending::default() };
        let later = || Some(Left::Later("quota".into()));
        let config = || Some(Left::Config("key".into()));
        assert_eq!(together(ending(later()), ending(config())).left, config());
        assert_eq!(together(ending(config()), ending(later())).left, config());
        assert_eq!(
            together(ending(None), ending(later())),
            Ending { entries: 4, ..ending(later()) }
        );
    }
}
