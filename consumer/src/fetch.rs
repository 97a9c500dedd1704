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
    use std::sync::atomic::Ordering;

    use isobar_broker::{Entry, EntryId, Lane};
    use isobar_model::task::Fields;

    use super::*;
    use crate::pipeline::numbers::Numbers;

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
                task: task.into(),
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
            .map(|(decoded, _)| decoded.task.number)
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
                .all(|(decoded, outcome)| *outcome == TaskOutcome::Record(decoded.task.number))
        );
        assert_eq!(fetched.settled.len(), 100);
    }
}
