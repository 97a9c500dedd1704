//! Tests of the accounts: every rule that decides a counter or the state of a job.
//!
//! Does not: read or write a database; the conformance suite of the store does, on both of them.

use std::slice;

use super::*;
use isobar_model::task::JobError;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
}

fn job() -> JobId {
    JobId::derive("test", "slot")
}

fn rows(succeeded: i64, failed: i64, skipped: i64) -> JobChange {
    JobChange {
        delta: CounterDelta { succeeded, failed, skipped, rejected: 0 },
        first_finished: Some(at(2)),
        ..JobChange::default()
    }
}

fn seal(rows: u64, duplicates: u64, outcome: SealOutcome) -> JobChange {
    JobChange {
        seal: Some(JobSeal { job_id: job(), rows, rejected: 0, duplicates, outcome, error: None }),
        ..JobChange::default()
    }
}

fn open() -> JobChange {
    JobChange {
        open: Some(JobOpen {
            job_id: job(),
            pipeline: PipelineName::Weather,
            job_kind: JobKind::Import,
            source: "cities.csv".into(),
            slot: "slot".into(),
            created_at: at(0),
        }),
        ..JobChange::default()
    }
}

/// A job of one row that waits for its second.
fn running() -> Account {
    Account::unknown(job(), at(1))
        .after(&rows(0, 1, 0), at(2))
        .after(&seal(2, 0, SealOutcome::Complete), at(3))
}

fn done() -> Account {
    running().after(&rows(1, 0, 0), at(4))
}

fn tally(change: JobChange) -> CommitTally {
    CommitTally { changes: BTreeMap::from([(job(), change)]), ..CommitTally::default() }
}

/// The ends of every order of `changes`.
fn in_every_order(changes: &[JobChange]) -> Vec<Account> {
    if changes.is_empty() {
        return vec![Account::unknown(job(), at(1))];
    }
    let mut ends = Vec::new();
    for last in 0..changes.len() {
        let mut rest = changes.to_vec();
        let change = rest.remove(last);
        for before in in_every_order(&rest) {
            ends.push(before.after(&change, at(9)));
        }
    }
    ends
}

#[test]
fn a_job_ends_the_same_in_any_message_order() {
    let changes = [open(), rows(2, 1, 0), rows(1, 0, 3), seal(10, 3, SealOutcome::Complete)];
    for end in in_every_order(&changes) {
        assert_eq!(end.status, JobStatus::Done);
        assert_eq!((end.succeeded, end.failed, end.skipped), (3, 1, 6));
        assert_eq!((end.total, end.duplicates), (Some(10), 3));
        assert_eq!((end.kind, end.created_at), (JobKind::Import, at(0)));
        assert_eq!(end.finished_at, Some(at(9)));
    }
    for end in in_every_order(&changes[..3]) {
        assert_eq!((end.status, end.total), (JobStatus::Running, None));
        assert_eq!(end.started_at, Some(at(2)));
    }
}

#[test]
fn second_opens_and_seals_change_nothing() {
    let end = Account::unknown(job(), at(1))
        .after(&open(), at(9))
        .after(&seal(2, 1, SealOutcome::Complete), at(9));
    let mut other = open();
    if let Some(open) = &mut other.open {
        open.source = "other".into();
    }
    assert_eq!(end.after(&other, at(10)), end);
    assert_eq!(end.after(&seal(7, 3, SealOutcome::Failed), at(10)), end);
}

#[test]
fn a_job_keeps_why_its_source_failed() {
    let mut change = seal(0, 0, SealOutcome::Failed);
    if let Some(seal) = &mut change.seal {
        seal.error = Some(JobError { code: "file_missing".into(), detail: "a\0.csv".into() });
    }
    let end = Account::unknown(job(), at(1)).after(&change, at(9));
    assert_eq!(end.error_code.as_deref(), Some("file_missing"));
    assert_eq!(end.error_detail.as_deref(), Some("a.csv"), "no store accepts a NUL");
}

#[test]
fn a_job_of_duplicates_ends_with_its_seal() {
    for rows in [0, 4] {
        let change = seal(rows, rows, SealOutcome::Complete);
        let end = Account::unknown(job(), at(1)).after(&change, at(9));
        assert_eq!(end.status, JobStatus::Done);
    }
}

#[test]
fn the_final_state_follows_the_seal_outcome() {
    let running = Account::unknown(job(), at(1)).after(&rows(1, 0, 0), at(2));
    for (outcome, open, end) in [
        (SealOutcome::Failed, JobStatus::Running, JobStatus::Failed),
        (SealOutcome::Cancelled, JobStatus::Running, JobStatus::Cancelled),
    ] {
        let sealed = running.after(&seal(2, 0, outcome), at(3));
        assert_eq!(sealed.status, open, "tasks are still out");
        assert_eq!(sealed.after(&rows(0, 1, 0), at(4)).status, end);
    }
    let cancelling = Account { status: JobStatus::Cancelling, ..running };
    let end = cancelling.after(&seal(1, 0, SealOutcome::Complete), at(3));
    assert_eq!(end.status, JobStatus::Cancelled);
}

#[test]
fn a_retry_keeps_the_state_of_a_finished_job() {
    let done = Account::unknown(job(), at(1))
        .after(&rows(1, 1, 0), at(2))
        .after(&seal(2, 0, SealOutcome::Complete), at(3));
    let retried = done.after(&rows(1, -1, 0), at(9));
    assert_eq!((retried.succeeded, retried.failed), (2, 0));
    assert_eq!((retried.status, retried.finished_at), (JobStatus::Done, Some(at(3))));
}

#[test]
fn a_failed_job_that_resumes_is_running() {
    let given_up = Account {
        status: JobStatus::Failed,
        finished_at: Some(at(2)),
        ..Account::unknown(job(), at(1))
    };
    assert_eq!(given_up.after(&open(), at(3)).status, JobStatus::Failed);
    let resumed = given_up.after(&rows(1, 0, 0), at(3));
    assert_eq!((resumed.status, resumed.finished_at), (JobStatus::Running, None));
}

#[test]
fn a_mismatch_names_both_numbers() {
    let account = Account { succeeded: 3, ..Account::unknown(job(), at(1)) };
    let mut counted = CounterDelta::default();
    counted.add(RowStatus::Success, false, 3);
    assert_eq!(account.mismatch(3, counted), None);
    counted.add(RowStatus::Failed, true, 1);
    assert_eq!(
        account.mismatch(3, counted).as_deref(),
        Some("failed is 0, the ledger has 1; rejected is 0, the ledger has 1")
    );
}

#[test]
fn each_counter_grows_by_its_own_change() {
    let before = Account {
        succeeded: 10,
        failed: 20,
        skipped: 30,
        rejected: 40,
        late: 50,
        ..Account::unknown(job(), at(1))
    };
    let delta = CounterDelta { succeeded: 1, failed: 2, skipped: 3, rejected: 4 };
    let after = before.after(&JobChange { delta, late: 5, ..JobChange::default() }, at(9));
    assert_eq!((after.succeeded, after.failed, after.skipped), (11, 22, 33));
    assert_eq!((after.rejected, after.late), (44, 55));
}

#[test]
fn a_recount_takes_the_numbers_of_the_ledger() {
    let wrong = Account {
        succeeded: 9,
        failed: 9,
        skipped: 9,
        rejected: 9,
        duplicates: 3,
        ..Account::unknown(job(), at(1))
    };
    let counted = CounterDelta { succeeded: 2, failed: 1, skipped: 4, rejected: 1 };
    let right = wrong.recounted(counted, at(9));
    assert_eq!((right.succeeded, right.failed, right.rejected), (2, 1, 1));
    assert_eq!(right.skipped, 7, "4 in the ledger, and 3 duplicates, which have no row there");
}

#[test]
fn a_recount_ends_a_job_that_is_complete() {
    let counted = CounterDelta { succeeded: 2, ..CounterDelta::default() };
    let ended = running().recounted(counted, at(8));
    assert_eq!((ended.status, ended.finished_at), (JobStatus::Done, Some(at(8))));
    assert_eq!(ended.recounted(counted, at(9)), ended, "an ended job keeps its end");
}

#[test]
fn skipped_is_the_ledger_and_the_duplicates() {
    let account = Account { skipped: 7, duplicates: 3, ..Account::unknown(job(), at(1)) };
    for (skipped, difference) in
        [(4, None), (5, Some("skipped is 7, ledger and duplicates make 8"))]
    {
        let counted = CounterDelta { skipped, ..CounterDelta::default() };
        assert_eq!(account.mismatch(7, counted).as_deref(), difference);
    }
}

#[test]
fn an_ended_job_has_processed_its_total() {
    for (status, total, is_right) in [
        (JobStatus::Running, 4, true),
        (JobStatus::Running, 3, true),
        (JobStatus::Running, 2, false),
        (JobStatus::Done, 4, false),
        (JobStatus::Done, 3, true),
        (JobStatus::Done, 2, false),
    ] {
        let unknown = Account::unknown(job(), at(1));
        let account = Account { status, total: Some(total), succeeded: 3, ..unknown };
        let counted = CounterDelta { succeeded: 3, ..CounterDelta::default() };
        let difference = (!is_right).then(|| format!("processed is 3, total is {total}"));
        assert_eq!(account.mismatch(3, counted), difference, "{status:?}, total {total}");
    }
}

#[test]
fn only_a_repeat_leaves_its_job_unchanged() {
    for (change, changed) in [
        (open(), vec![job()]),
        (seal(1, 0, SealOutcome::Complete), vec![job()]),
        (rows(1, 0, 0), vec![job()]),
        (JobChange { late: 1, ..JobChange::default() }, vec![job()]),
        // The ledger had its rows already.
        (rows(0, 0, 0), vec![]),
    ] {
        assert_eq!(tally(change.clone()).changed_jobs(), changed, "{change:?}");
    }
}

#[test]
fn the_first_open_and_seal_of_a_commit_count() {
    let named = |source: &str| JobOpen {
        source: source.to_owned(),
        ..open().open.expect("the change is an open")
    };
    let sealed = |rows| seal(rows, 0, SealOutcome::Complete).seal.expect("the change is a seal");
    let commit = Commit {
        opens: vec![named("first"), named("second")],
        seals: vec![sealed(5), sealed(6)],
        ..Commit::default()
    };
    let mut tally = CommitTally::from_commit(&commit);
    assert_eq!(tally.changed_jobs(), [job()]);
    let after = tally.change_jobs(&[Account::unknown(job(), at(1))], at(9)).remove(0);
    assert_eq!((after.source.as_str(), after.total), ("first", Some(5)));
}

#[test]
fn new_rows_count_in_report_and_job() {
    let mut tally = CommitTally::default();
    for (status, rejected, rows) in [
        (RowStatus::Success, false, 3),
        (RowStatus::Failed, true, 2),
        (RowStatus::Failed, false, 5),
        (RowStatus::Skipped, false, 4),
    ] {
        tally.count_inserted(job(), status, rejected, rows);
    }
    let report = CommitReport { succeeded: 3, failed: 7, skipped: 4, ..CommitReport::default() };
    assert_eq!(tally.report, report);
    let change = &tally.changes[&job()];
    let delta = CounterDelta { succeeded: 3, failed: 7, skipped: 4, rejected: 2 };
    assert_eq!((change.delta, change.inserted), (delta, 14));
}

#[test]
fn late_rows_move_no_other_counter() {
    let mut tally = CommitTally::default();
    tally.count_late(job());
    tally.count_late(job());
    assert_eq!(tally.report, CommitReport { late: 2, ..CommitReport::default() });
    let change = &tally.changes[&job()];
    assert_eq!((change.late, change.inserted, change.delta), (2, 0, CounterDelta::default()));
}

#[test]
fn a_retry_moves_its_row_between_counters() {
    let mut tally = CommitTally::default();
    tally.count_replaced(job(), (RowStatus::Failed, true), (RowStatus::Success, false));
    assert_eq!(tally.report, CommitReport { succeeded: 1, ..CommitReport::default() });
    let change = &tally.changes[&job()];
    let delta = CounterDelta { succeeded: 1, failed: -1, skipped: 0, rejected: -1 };
    assert_eq!((change.delta, change.inserted), (delta, 0));
}

#[test]
fn only_new_rows_race_with_the_end() {
    for (account, inserted, has_raced) in
        [(done(), 1, true), (done(), 0, false), (running(), 1, false)]
    {
        let tally = tally(JobChange { inserted, ..JobChange::default() });
        let status = account.status;
        assert_eq!(tally.has_raced(&[account]), has_raced, "{status:?}, {inserted} new");
    }
}

#[test]
fn a_commit_reports_the_jobs_that_it_ends() {
    for (before, change, is_changed, is_ended) in [
        (running(), rows(1, 0, 0), true, true),
        (running(), rows(0, 0, 0), false, false),
        (done(), rows(1, -1, 0), true, false),
        (done(), rows(0, 0, 0), false, false),
    ] {
        let mut tally = tally(change);
        let changed = tally.change_jobs(slice::from_ref(&before), at(9));
        let which = format!("{:?} after {changed:?}", before.status);
        assert_eq!(!changed.is_empty(), is_changed, "{which}");
        assert_eq!(!tally.report.finished_jobs.is_empty(), is_ended, "{which}");
    }
}
