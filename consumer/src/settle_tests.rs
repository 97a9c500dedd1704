//! Tests of the ends of an entry: what each leaves in the ledger, its city and the dead letters.
//!
//! Does not: commit or acknowledge; the tests of the committer and of whole workers do.

use isobar_model::ids::{CityId, JobId};
use isobar_model::task::Fields;

use super::*;
use crate::pipeline::numbers::Numbers;

const STREAM: StreamEpoch<'_> = StreamEpoch { pipeline: PipelineName::Users, epoch: "e" };

fn entry(fields: &[(&[u8], &[u8])]) -> Entry {
    Entry {
        lane: Lane::Tasks,
        id: EntryId { ms: 7, seq: 1 },
        fields: Fields(fields.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()),
        deliveries: 1,
        attempts: 2,
        crashes: 0,
    }
}

fn decoded() -> DecodedEntry<<Numbers as Pipeline>::Task> {
    DecodedEntry { entry: entry(&[(b"city", b"seven")]), task: 7.into() }
}

fn why() -> FailureReason {
    FailureReason::new("city_not_found", "the geocoder knows no such city")
}

fn succeeded() -> SettledEntry<usize> {
    SettledEntry::succeeded::<Numbers>(&decoded(), 7)
}

fn failed() -> SettledEntry<usize> {
    SettledEntry::failed(&Numbers::default(), &decoded(), &why(), "e")
}

#[test]
fn the_last_allowed_attempt_is_final() {
    let run: Vec<u32> = (0..10).filter(|attempts| has_attempts_left(*attempts, 8)).collect();
    assert_eq!(run.len(), 7, "seven attempts are repeated, the eighth is final");
}

#[test]
fn a_dead_letter_keeps_the_received_bytes() {
    let why = FailureReason::new("undecodable", "task_id is not valid UTF-8");
    let settled = SettledEntry::<()>::quarantined(&entry(&[(b"task_id", b"\xff")]), &why, STREAM);
    let letter = settled.dead.expect("a dead letter");
    assert_eq!(letter.payload, b"task_id=\xff\n");
    assert_eq!(letter.source, "e/tasks/7-1");
    assert_eq!(letter.task_id, None);
}

#[test]
fn a_ledger_row_needs_a_job() {
    let head = TaskHeader {
        task_id: TaskId(uuid::Uuid::nil()),
        job_id: None,
        row: None,
        batch: None,
        try_number: 1,
        force: false,
    };
    let row = ledger_row(
        &head,
        TaskSubject::default(),
        &entry(&[]),
        RowStatus::Success,
        None,
        Utc::now(),
    );
    assert_eq!(row, None);
}

#[test]
fn a_failed_task_leaves_row_city_and_letter() {
    let settled = failed();
    assert!(matches!(settled.outcome, EntryOutcome::Failed));
    let row = settled.ledger.expect("a ledger row");
    assert_eq!((row.status, row.city_id), (RowStatus::Failed, Some(CityId(7))));
    assert_eq!(row.error_code, Some(why().code));
    assert_eq!(row.input.as_deref(), Some(r#"{"city":"seven"}"#), "to publish it again");
    assert_eq!(settled.city.expect("a city").error, why().reason);
    let letter = settled.dead.expect("a dead letter");
    assert_eq!((letter.code, letter.reason), (why().code, why().reason));
    assert_eq!((letter.job_id, letter.city_id), (Some(row.job_id), row.city_id));
}

#[test]
fn other_tasks_leave_only_a_row() {
    let skipped = SettledEntry::<usize>::skipped::<Numbers>(&decoded(), &why());
    for (settled, status, code) in
        [(succeeded(), RowStatus::Success, None), (skipped, RowStatus::Skipped, Some(why().code))]
    {
        assert!(settled.city.is_none() && settled.dead.is_none(), "{status}");
        let row = settled.ledger.expect("a ledger row");
        assert_eq!((row.status, row.error_code, row.input), (status, code, None));
    }
}

#[test]
fn a_quarantined_task_fails_in_its_job() {
    let job = JobId::derive("test", "slot");
    let task = job.task("7");
    let (job_id, task_id) = (job.to_string(), task.to_string());
    let fields = [(&b"job_id"[..], job_id.as_bytes()), (&b"task_id"[..], task_id.as_bytes())];
    for (lane, rows) in [(Lane::Tasks, vec![(job, task)]), (Lane::Control, vec![])] {
        let entry = Entry { lane, ..entry(&fields) };
        let settled = SettledEntry::<()>::quarantined(&entry, &why(), STREAM);
        let found = settled.ledger.iter().map(|row| (row.job_id, row.task_id));
        assert_eq!(found.collect::<Vec<_>>(), rows, "{lane:?}");
        let letter = settled.dead.expect("a dead letter");
        assert_eq!(letter.task_id, Some(task), "it can be read in both lanes");
    }
}

#[test]
fn a_reject_leaves_a_rejected_row() {
    let job_id = JobId::derive("test", "slot");
    let reject = Reject {
        job_id,
        task_id: job_id.reject(3),
        row: 3,
        code: "blank_name".to_owned(),
        reason: "the name is blank".to_owned(),
        city: None,
        record: None,
    };
    let entry = Entry { lane: Lane::Control, ..entry(&[]) };
    let settled = SettledEntry::<()>::control(&entry, ControlMessage::Reject(reject));
    assert!(settled.dead.is_none() && settled.city.is_none());
    let row = settled.ledger.expect("a ledger row");
    assert!(row.rejected);
    assert_eq!((row.task_id, row.status), (job_id.reject(3), RowStatus::Failed));
}

#[test]
fn a_refused_entry_keeps_only_safe_text() {
    for (settled, payload) in [(succeeded(), ""), (failed(), r#"{"city":"seven"}"#)] {
        assert!(!settled.is_refused());
        let refused = settled.refused(PipelineName::Weather, "a text with a NUL\0");
        assert!(refused.is_refused());
        assert!(refused.city.is_none());
        let row = refused.ledger.expect("a ledger row");
        assert_eq!((row.status, row.city_id), (RowStatus::Failed, Some(CityId(7))));
        assert_eq!((row.city, row.input), (None, None));
        assert_eq!(row.error_code.as_deref(), Some("store_refused"));
        assert_eq!(row.last_error.as_deref(), Some("a text with a NUL"));
        let letter = refused.dead.expect("a dead letter");
        assert_eq!(letter.reason, "a text with a NUL");
        assert_eq!(letter.payload, payload.as_bytes());
    }
}

#[test]
fn a_delay_ends_before_claims_stop_looking() {
    let claim_idle = Duration::from_mins(1);
    for (delay, capped) in [(0, 0), (59, 59), (60, 60), (61, 60)] {
        assert_eq!(cap_delay(Duration::from_secs(delay), claim_idle).as_secs(), capped);
    }
}

#[test]
fn only_an_id_of_redis_contains_a_time() {
    for (ms, is_time) in [(7, false), (1_577_836_800_000, false), (1_577_836_800_001, true)] {
        let time = DateTime::from_timestamp_millis(ms as i64).filter(|_| is_time);
        assert_eq!(appended_at(EntryId { ms, seq: 0 }), time, "{ms}");
    }
}

#[test]
fn a_rejected_row_keeps_its_fields() {
    let record = |fields: &[&str]| SourceRecord {
        line: Some(4),
        value: Some("x".to_owned()),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        known: vec![("city".to_owned(), 1), ("latitude_deg".to_owned(), 0)],
        width: Some(2),
    };
    for (fields, input) in [
        (&["x", "Paris"][..], r#"{"city":"Paris","latitude_deg":"x","line":"4","value":"x"}"#),
        (
            &["x", "Paris", "FR"],
            r#"{"city":"Paris","latitude_deg":"x","line":"4","surplus":"[\"FR\"]","value":"x"}"#,
        ),
    ] {
        assert_eq!(rejected_input(&record(fields)), input);
    }
}
