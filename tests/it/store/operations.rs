//! The record of operations, and the end of a job that somebody asked for.

use isobar_model::task::JobKind;
use isobar_store::{
    CancelOutcome, JobStatus, LedgerRow, NewJob, NewOperation, OperatorAction, RowStatus,
};

use super::fixtures::{at, job, ledger, row, seal, seals};
use super::{Subject, on_both};

on_both!(
    operations_come_newest_first_and_pages_are_stable,
    a_job_that_is_cancelled_ends_when_every_row_has_ended,
    a_job_that_has_ended_or_is_unknown_is_left_as_it_is,
);

fn operation(action: OperatorAction, subject: &str) -> NewOperation {
    NewOperation { at: at(1), ..NewOperation::now("cli ada@host", action).about(&subject) }
}

async fn operations_come_newest_first_and_pages_are_stable(subject: Subject) {
    let store = &subject.store;
    for number in 1..=5 {
        let operation =
            operation(OperatorAction::JobPause, &number.to_string()).with_detail("why\0");
        store.record_operation(&operation).await.expect("records");
    }
    let first = store.operations(None, 2).await.expect("reads");
    let read = |rows: &[isobar_store::Operation]| -> Vec<String> {
        rows.iter().filter_map(|row| row.subject.clone()).collect()
    };
    assert_eq!(read(&first), ["5", "4"]);
    assert_eq!((first[0].actor.as_str(), first[0].action.as_str()), ("cli ada@host", "job.pause"));
    assert_eq!(first[0].at, at(1));
    store.record_operation(&operation(OperatorAction::JobResume, "6")).await.expect("records");
    let next = store.operations(Some(first[1].id), 9).await.expect("reads");
    assert_eq!(read(&next), ["3", "2", "1"]);
}

async fn a_job_that_is_cancelled_ends_when_every_row_has_ended(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    store.commit(&ledger(vec![row(id, 1, RowStatus::Success)])).await.expect("commits");
    let wish = operation(OperatorAction::JobCancel, "a");
    for _ in 0..2 {
        let answer = store.request_cancel(id, &wish).await.expect("asks");
        assert_eq!(answer, CancelOutcome::Cancelling, "asking twice is no mistake");
    }
    let status = async || store.job(id).await.expect("reads").expect("there").status;
    assert_eq!(status().await, JobStatus::Cancelling);
    assert_eq!(store.operations(None, 9).await.expect("reads").len(), 2);

    store.commit(&seals(seal(id, 2, 0, 0))).await.expect("commits");
    assert_eq!(status().await, JobStatus::Cancelling, "a task is still out");
    let skipped =
        LedgerRow { error_code: Some("cancelled".into()), ..row(id, 2, RowStatus::Skipped) };
    store.commit(&ledger(vec![skipped])).await.expect("commits");
    let ended = store.job(id).await.expect("reads").expect("there");
    assert_eq!(ended.status, JobStatus::Cancelled);
    assert_eq!((ended.succeeded, ended.skipped, ended.total), (1, 1, Some(2)));
    assert_eq!(store.imbalances().await.expect("reads"), []);
}

async fn a_job_that_has_ended_or_is_unknown_is_left_as_it_is(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let wish = operation(OperatorAction::JobCancel, "a");
    let ask = async || store.request_cancel(id, &wish).await.expect("asks");
    assert_eq!(ask().await, CancelOutcome::Unknown);
    let new = NewJob {
        id,
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        kind: JobKind::Import,
        source: "a.csv".into(),
        created_at: at(0),
    };
    store.create_job(&new).await.expect("creates");
    store.commit(&seals(seal(id, 0, 0, 0))).await.expect("commits");
    assert_eq!(ask().await, CancelOutcome::Ended(JobStatus::Done));
    assert_eq!(store.operations(None, 9).await.expect("reads"), []);
}
