//! Fetch: runs one batch against the upstream, and divides it where an answer concerns a part.
//!
//! Guarantees: a request that is refused because of one location is bisected until that location
//! is alone. Its neighbours succeed and it fails. If all members of a batch fail alike, the request
//! itself is wrong: a configuration error, not a hundred dead letters. Members that have to wait
//! are returned unchanged (I7).

use chrono::{DateTime, Utc};
use isobar_upstream::{Answer, WaitReason};

use crate::pipeline::{Pipeline, TaskOutcome};
use crate::settle::DecodedEntry;

/// The size from which a batch that fails alike as a whole is a configuration error. In a smaller
/// batch each member may be bad by itself.
pub const ALIKE_FROM: usize = 8;

/// Tasks, each with its outcome.
pub type FetchedTasks<P> =
    Vec<(DecodedEntry<<P as Pipeline>::Task>, TaskOutcome<<P as Pipeline>::Record>)>;

/// The result of a batch.
pub struct Fetched<P: Pipeline> {
    pub settled: FetchedTasks<P>,
    /// Not tried, or not the cause: to give back without an attempt.
    pub returned: Vec<DecodedEntry<P::Task>>,
    pub signal: Option<UpstreamSignal>,
}

/// What the batch shows about the upstream as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamSignal {
    Wait(DateTime<Utc>, WaitReason),
    Config(String),
}

/// Fetches `batch`, in as many requests as it takes.
pub async fn fetch<P: Pipeline>(pipeline: &P, batch: Vec<DecodedEntry<P::Task>>) -> Fetched<P> {
    let size = batch.len();
    let mut outcomes: Vec<Option<TaskOutcome<P::Record>>> = Vec::new();
    outcomes.resize_with(size, || None);
    let mut bisected = false;
    let mut signal = None;
    // Ranges of the batch that are not requested yet; the front one is last.
    let mut open = Vec::new();
    open.push(0..size);
    while let Some(range) = open.pop() {
        let tasks: Vec<&P::Task> =
            batch[range.clone()].iter().map(|decoded| &decoded.task).collect();
        match pipeline.fetch(&tasks).await {
            Answer::Ok(answers) => {
                for (outcome, answer) in outcomes[range].iter_mut().zip(answers) {
                    *outcome = Some(answer);
                }
            }
            // One unreadable member makes the whole answer unreadable. From the second attempt on
            // the batch is bisected, so that its neighbours do not fail with it.
            Answer::Retry { code: "bad_response", .. }
                if range.len() > 1
                    && batch[range.clone()].iter().any(|decoded| decoded.entry.attempts > 0) =>
            {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
            Answer::Retry { code, reason } => {
                for outcome in &mut outcomes[range] {
                    *outcome = Some(TaskOutcome::Retry { code, reason: reason.clone() });
                }
            }
            Answer::BadLocation { code, reason } if range.len() == 1 => {
                outcomes[range.start] = Some(TaskOutcome::Failed { code, reason });
            }
            Answer::TooLarge { reason } if range.len() == 1 => {
                signal = Some(UpstreamSignal::Config(format!(
                    "even a single location is too large: {reason}"
                )));
                break;
            }
            Answer::BadLocation { .. } | Answer::TooLarge { .. } => {
                bisected = true;
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
            Answer::Wait { until, why } => {
                signal = Some(UpstreamSignal::Wait(until, why));
                break;
            }
            Answer::Misconfigured { reason } => {
                signal = Some(UpstreamSignal::Config(reason));
                break;
            }
        }
    }
    if bisected && let Some(reason) = failed_alike(&outcomes) {
        signal = Some(UpstreamSignal::Config(format!(
            "all {size} locations were refused alike: {reason}"
        )));
        outcomes.fill_with(|| None);
    }
    let mut fetched = Fetched { settled: Vec::with_capacity(size), returned: Vec::new(), signal };
    for (task, outcome) in batch.into_iter().zip(outcomes) {
        match outcome {
            Some(outcome) => fetched.settled.push((task, outcome)),
            None => fetched.returned.push(task),
        }
    }
    fetched
}

fn failed_alike<R>(outcomes: &[Option<TaskOutcome<R>>]) -> Option<String> {
    let mut alike: Option<(&str, &String)> = None;
    let mut count = 0;
    // Members without an outcome were not requested and do not count.
    for outcome in outcomes.iter().flatten() {
        let TaskOutcome::Failed { code, reason } = outcome else { return None };
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

    use isobar_broker::{Entry, EntryId, Flags, Lane, Topic};
    use isobar_model::ids::TaskId;
    use isobar_model::pipeline::PipelineName;
    use isobar_model::task::{DecodeError, Fields, TaskHeader};
    use isobar_store::{Records, StoreError};

    use super::*;
    use crate::pipeline::{BatchKey, TaskSubject};

    /// Tasks are numbers; those in `bad` are refused like bad locations.
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
        const SKIP_REASON: &'static str = "current";

        fn topic(&self) -> &Topic {
            unreachable!("this test reads no stream")
        }
        fn decode(&self, _: &Fields) -> Result<usize, DecodeError> {
            unreachable!("this test reads no stream")
        }
        fn head(_: &usize) -> &TaskHeader {
            const HEAD: &TaskHeader = &TaskHeader {
                task_id: TaskId(uuid::Uuid::nil()),
                job_id: None,
                row: None,
                batch: None,
                try_number: 1,
                force: false,
            };
            HEAD
        }
        fn subject(_: &usize) -> TaskSubject {
            TaskSubject::default()
        }
        fn batch_key(&self, _: &usize) -> BatchKey {
            BatchKey { kind: "number", limit: 100 }
        }
        async fn already_current(&self, tasks: &[&usize]) -> Result<Vec<bool>, StoreError> {
            Ok(vec![false; tasks.len()])
        }
        async fn fetch(&self, tasks: &[&usize]) -> Answer<Vec<TaskOutcome<usize>>> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            if tasks.len() > self.at_most {
                return Answer::TooLarge { reason: "too much".into() };
            }
            if tasks.iter().any(|task| self.bad.contains(task)) {
                return Answer::BadLocation { code: "location_rejected", reason: "bad".into() };
            }
            Answer::Ok(tasks.iter().map(|task| TaskOutcome::Record(**task)).collect())
        }
        fn records(&self, _: Vec<usize>) -> Records {
            Records::default()
        }
        fn apply_flags(&self, _: &Flags) {}
        async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
            None
        }
        async fn upstream_state(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
    }

    async fn run(count: usize, bad: Vec<usize>, at_most: usize) -> (Fetched<Numbers>, usize) {
        let pipeline = Numbers { bad: Arc::new(bad), at_most, requests: Arc::default() };
        let batch = (0..count)
            .map(|task| DecodedEntry {
                entry: Entry {
                    lane: Lane::Tasks,
                    id: EntryId { ms: task as u64, seq: 0 },
                    fields: Fields::default(),
                    deliveries: 1,
                    attempts: 0,
                    crashes: 0,
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
            .filter(|(_, outcome)| matches!(outcome, TaskOutcome::Failed { .. }))
            .map(|(decoded, _)| decoded.task)
            .collect();
        assert_eq!(failed, [37]);
        assert_eq!(fetched.settled.len(), 100);
        assert!(requests <= 16, "bisecting takes about 2·log2(n) requests, not {requests}");
        assert_eq!(fetched.signal, None);
    }

    #[tokio::test]
    async fn failing_alike_is_a_configuration_error() {
        let (fetched, _) = run(10, (0..10).collect(), 1000).await;
        assert_eq!(fetched.returned.len(), 10);
        assert!(matches!(fetched.signal, Some(UpstreamSignal::Config(_))));
        let (few, _) = run(3, vec![0, 1, 2], 1000).await;
        assert_eq!(few.settled.len(), 3, "each of three may be bad by itself");
    }

    #[tokio::test]
    async fn a_too_large_request_is_divided() {
        let (fetched, _) = run(100, vec![], 30).await;
        assert!(
            fetched
                .settled
                .iter()
                .all(|(decoded, outcome)| *outcome == TaskOutcome::Record(decoded.task))
        );
        assert_eq!(fetched.settled.len(), 100);
    }
}
