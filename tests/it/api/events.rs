//! A job's events: as it goes on, from where the client was, to its end.

use isobar_api::DRAIN_LIMIT;
use isobar_model::ids::JobId;
use isobar_model::task::{JobSeal, SealOutcome};
use isobar_store::{Commit, RowStatus};
use reqwest::{Method, Response};
use serde_json::Value;

use super::lists::ledger_row;
use super::{Api, is_problem};
use crate::harness::wait::PATIENCE;

/// An event's name, id and data.
type Event = (String, String, Value);

struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn of(api: &Api, job: JobId, known: Option<&str>) -> Self {
        let request = api.http.request(Method::GET, &format!("/bulk/jobs/{job}/events"));
        let request = match known {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event, or none at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
                };
                if let (Some(name), Some(id), Some(data)) =
                    (field("event:"), field("id:"), field("data:"))
                {
                    let data = serde_json::from_str(data).expect("JSON");
                    return Some((name.to_owned(), id.to_owned(), data));
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let piece = piece.expect("something comes").expect("no error")?;
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
    }
}

async fn commit_rows(api: &Api, job: JobId, rows: std::ops::RangeInclusive<u64>) {
    let ledger = rows.map(|row| ledger_row(job, row)).collect();
    api.store.commit(&Commit { ledger, ..Commit::default() }).await.expect("commits");
}

async fn seal(api: &Api, job: JobId, rows: u64) {
    let outcome = SealOutcome::Complete;
    let seal = JobSeal { job_id: job, rows, rejected: 0, duplicates: 0, outcome, error: None };
    let commit = Commit { seals: vec![seal], ..Commit::default() };
    api.store.commit(&commit).await.expect("commits");
}

#[tokio::test]
async fn listeners_follow_a_job_to_its_end_and_are_not_told_what_they_know() {
    let api = Api::start().await;
    let job = JobId::derive("test", "slot");
    commit_rows(&api, job, 1..=2).await;
    let mut one = Events::of(&api, job, None).await;
    let (name, id, state) = one.next().await.expect("the state");
    assert_eq!((name.as_str(), &state["processed"]), ("progress", &2.into()));

    let mut other = Events::of(&api, job, Some(&id)).await;
    commit_rows(&api, job, 3..=5).await;
    for events in [&mut one, &mut other] {
        let (name, _, state) = events.next().await.expect("progress");
        assert_eq!((name.as_str(), &state["processed"]), ("progress", &5.into()));
    }
    seal(&api, job, 5).await;
    for events in [&mut one, &mut other] {
        let (name, _, state) = events.next().await.expect("the end");
        assert_eq!((name.as_str(), &state["status"]), ("done", &"done".into()));
        assert_eq!(events.next().await, None, "the stream ends with the job");
    }
    let mut late = Events::of(&api, job, None).await;
    assert_eq!(late.next().await.expect("at once").0, "done");
    assert_eq!(late.next().await, None);
    let stored = api.store.ledger(job, Some(RowStatus::Failed), None, 9).await.expect("reads");
    assert_eq!(stored.len(), 1);
}

#[tokio::test]
async fn the_end_of_the_server_is_the_end_of_the_stream() {
    let mut api = Api::start().await;
    let job = JobId::derive("test", "slot");
    commit_rows(&api, job, 1..=1).await;
    let mut events = Events::of(&api, job, None).await;
    events.next().await.expect("the state");
    let began = std::time::Instant::now();
    let (rest, ()) = tokio::join!(events.next(), api.stop());
    assert_eq!(rest, None);
    assert!(began.elapsed() < DRAIN_LIMIT, "it held up the drain");
    let nobody = JobId::derive("nobody", "slot");
    let api = Api::start().await;
    is_problem(&api.get(&format!("/bulk/jobs/{nobody}/events")).await, 404, "not_found");
}
