//! Runs one batch against the upstream, and cuts it where an answer concerns only a part of it.
//!
//! A request that is refused because of one location is bisected until that location stands
//! alone: its neighbours succeed, it fails. If every member of a batch fails alike it is not the
//! members that are wrong but how they are asked for: that is a configuration to be mended, not
//! a hundred dead letters. What waits is handed back untouched (I7).

use chrono::{DateTime, Utc};
use isobar_upstream::{Answer, Waiting};

use crate::pipeline::{Pipeline, Verdict};
use crate::settle::Held;

/// From this many members on, a batch that fails alike throughout blames the configuration.
/// Fewer may well be bad each for itself.
pub const ALIKE_FROM: usize = 8;

/// Tasks, each with its verdict.
pub type Answered<P> = Vec<(Held<<P as Pipeline>::Task>, Verdict<<P as Pipeline>::Record>)>;

/// What became of a batch.
pub struct Fetched<P: Pipeline> {
    pub settled: Answered<P>,
    /// Not tried, or not to blame: to be given back without an attempt.
    pub returned: Vec<Held<P::Task>>,
    pub signal: Option<Signal>,
}

/// What the batch told about the upstream as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    Wait(DateTime<Utc>, Waiting),
    Config(String),
}

/// Fetches `batch`, in as many requests as it takes.
pub async fn fetch<P: Pipeline>(pipeline: &P, batch: Vec<Held<P::Task>>) -> Fetched<P> {
    let asked = batch.len();
    let mut verdicts: Vec<Option<Verdict<P::Record>>> = Vec::new();
    verdicts.resize_with(asked, || None);
    let mut bisected = false;
    let mut signal = None;
    // Halves still to be asked for, as ranges of the batch; the front one is last.
    let mut open = Vec::new();
    open.push(0..asked);
    while let Some(range) = open.pop() {
        let tasks: Vec<&P::Task> = batch[range.clone()].iter().map(|held| &held.task).collect();
        match pipeline.fetch(&tasks).await {
            Answer::Ok(answers) => {
                for (verdict, answer) in verdicts[range].iter_mut().zip(answers) {
                    *verdict = Some(answer);
                }
            }
            // One unreadable member spoils the answer for all: from the second attempt on it is
            // looked for, so that its neighbours do not fail with it.
            Answer::Retry { code: "bad_response", .. }
                if range.len() > 1
                    && batch[range.clone()].iter().any(|held| held.entry.attempts > 0) =>
            {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
            Answer::Retry { code, reason } => {
                for verdict in &mut verdicts[range] {
                    *verdict = Some(Verdict::Retry { code, reason: reason.clone() });
                }
            }
            Answer::Location { code, reason } if range.len() == 1 => {
                verdicts[range.start] = Some(Verdict::Failed { code, reason });
            }
            Answer::Split { reason } if range.len() == 1 => {
                signal = Some(Signal::Config(format!("even one location is too much: {reason}")));
                break;
            }
            Answer::Location { .. } | Answer::Split { .. } => {
                bisected = true;
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
            Answer::Wait { until, why } => {
                signal = Some(Signal::Wait(until, why));
                break;
            }
            Answer::Config { reason } => {
                signal = Some(Signal::Config(reason));
                break;
            }
        }
    }
    if bisected && let Some(reason) = failed_alike(&verdicts) {
        signal =
            Some(Signal::Config(format!("all {asked} locations were refused alike: {reason}")));
        verdicts.fill_with(|| None);
    }
    let mut fetched = Fetched { settled: Vec::with_capacity(asked), returned: Vec::new(), signal };
    for (held, verdict) in batch.into_iter().zip(verdicts) {
        match verdict {
            Some(verdict) => fetched.settled.push((held, verdict)),
            None => fetched.returned.push(held),
        }
    }
    fetched
}

fn failed_alike<R>(verdicts: &[Option<Verdict<R>>]) -> Option<String> {
    let mut alike: Option<(&str, &String)> = None;
    let mut count = 0;
    // What a wait kept from being asked says nothing either way.
    for verdict in verdicts.iter().flatten() {
        let Verdict::Failed { code, reason } = verdict else { return None };
        if alike.get_or_insert((code, reason)).0 != *code {
            return None;
        }
        count += 1;
    }
    alike.filter(|_| count >= ALIKE_FROM).map(|(_, reason)| reason.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use isobar_broker::{Entry, EntryId, Lane, Switches, Topic};
    use isobar_model::ids::{CityId, TaskId};
    use isobar_model::pipeline::PipelineName;
    use isobar_model::task::{Fields, TaskHead, Undecodable};
    use isobar_store::{CityFailure, Records, StoreError};

    use super::*;
    use crate::pipeline::Company;

    /// Tasks are numbers; those in `bad` are refused as locations are.
    #[derive(Clone)]
    struct Numbers {
        bad: Arc<Vec<usize>>,
        at_most: usize,
        requests: Arc<AtomicUsize>,
    }

    impl Pipeline for Numbers {
        type Task = usize;
        type Record = usize;
        const NAME: PipelineName = PipelineName::Weather;
        const CURRENT: &'static str = "it is there";

        fn topic(&self) -> &Topic {
            unreachable!("nothing is read here")
        }
        fn decode(&self, _: &Fields) -> Result<usize, Undecodable> {
            unreachable!("nothing is read here")
        }
        fn head(_: &usize) -> &TaskHead {
            const HEAD: &TaskHead = &TaskHead {
                task_id: TaskId(uuid::Uuid::nil()),
                job_id: None,
                row: None,
                batch: None,
                try_number: 1,
                force: false,
            };
            HEAD
        }
        fn subject(_: &usize) -> (Option<CityId>, Option<String>) {
            (None, None)
        }
        fn company(&self, _: &usize) -> Company {
            Company { kind: "number", limit: 100 }
        }
        async fn current(&self, tasks: &[&usize]) -> Result<Vec<bool>, StoreError> {
            Ok(vec![false; tasks.len()])
        }
        async fn fetch(&self, tasks: &[&usize]) -> Answer<Vec<Verdict<usize>>> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            if tasks.len() > self.at_most {
                return Answer::Split { reason: "too much".into() };
            }
            if tasks.iter().any(|task| self.bad.contains(task)) {
                return Answer::Location { code: "location_rejected", reason: "bad".into() };
            }
            Answer::Ok(tasks.iter().map(|task| Verdict::Record(**task)).collect())
        }
        fn records(&self, _: Vec<usize>) -> Records {
            Records::default()
        }
        fn failure(&self, _: &usize, _: &str) -> Option<CityFailure> {
            None
        }
        fn obey(&self, _: &Switches) {}
        async fn shut_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
            None
        }
        async fn upstream_state(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
    }

    async fn run(count: usize, bad: Vec<usize>, at_most: usize) -> (Fetched<Numbers>, usize) {
        let pipeline = Numbers { bad: Arc::new(bad), at_most, requests: Arc::default() };
        let batch = (0..count)
            .map(|task| Held {
                entry: Entry {
                    lane: Lane::Tasks,
                    id: EntryId { ms: task as u64, seq: 0 },
                    fields: Fields::default(),
                    deliveries: 1,
                    attempts: 0,
                },
                task,
            })
            .collect();
        let fetched = fetch(&pipeline, batch).await;
        (fetched, pipeline.requests.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn one_bad_location_in_a_hundred_fails_alone() {
        let (fetched, requests) = run(100, vec![37], 1000).await;
        let failed: Vec<usize> = fetched
            .settled
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed { .. }))
            .map(|(held, _)| held.task)
            .collect();
        assert_eq!(failed, [37]);
        assert_eq!(fetched.settled.len(), 100);
        assert!(requests <= 16, "bisecting takes about 2·log2(n) requests, not {requests}");
        assert_eq!(fetched.signal, None);
    }

    #[tokio::test]
    async fn a_batch_that_fails_alike_throughout_is_a_configuration_and_nobody_is_condemned() {
        let (fetched, _) = run(10, (0..10).collect(), 1000).await;
        assert_eq!(fetched.returned.len(), 10);
        assert!(matches!(fetched.signal, Some(Signal::Config(_))));
        let (few, _) = run(3, vec![0, 1, 2], 1000).await;
        assert_eq!(few.settled.len(), 3, "three may well be bad each for itself");
    }

    #[tokio::test]
    async fn a_request_that_is_too_large_is_cut_until_it_fits() {
        let (fetched, _) = run(100, vec![], 30).await;
        assert!(
            fetched.settled.iter().all(|(held, verdict)| *verdict == Verdict::Record(held.task))
        );
        assert_eq!(fetched.settled.len(), 100);
    }
}
