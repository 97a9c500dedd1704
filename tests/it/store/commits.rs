//! What a commit promises: all of it or nothing, once, and never backwards (I3, I4, I5).

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use isobar_model::ids::CityId;
use isobar_model::task::{JobKind, SealOutcome};
use isobar_store::{
    Commit, CommitReport, DeadLetter, DeadLetterFilter, JobStatus, LedgerRow, NewJob, RowStatus,
    Store, StoreError,
};

use super::fixtures::{
    at, dead, failure, job, ledger, open, reject, row, seal, seals, snapshot, task, weather,
};
use super::{Subject, on_both};

on_both!(
    a_repeated_commit_changes_nothing,
    an_older_observation_never_wins,
    a_snapshot_from_the_future_is_replaced,
    what_a_task_does_not_know_of_its_city_replaces_nothing,
    a_failed_city_keeps_its_snapshot,
    a_job_comes_out_the_same_in_any_order,
    a_job_is_done_exactly_when_it_is_sealed_and_all_is_processed,
    a_source_that_failed_fails_its_job_once_the_rest_is_processed,
    a_retry_moves_the_counters_and_a_late_first_try_does_not,
    a_row_that_comes_after_its_job_has_ended_is_counted_and_stored_nowhere,
    retention_leaves_a_job_whose_rows_are_tried_again,
    a_dead_letter_is_buried_once_and_byte_for_byte,
    a_task_that_another_entry_has_ended_is_not_buried_again,
    data_that_cannot_be_stored_is_a_data_error_and_changes_nothing,
    two_workers_on_the_same_rows_count_each_once,
    a_job_that_was_announced_keeps_its_name,
    a_job_without_a_readable_source_ends,
);

async fn commit(store: &Store, commit: &Commit) -> CommitReport {
    store.commit(commit).await.expect("commits")
}

async fn a_snapshot_from_the_future_is_replaced(subject: Subject) {
    let store = &subject.store;
    let wrong = at(60 * 24 * 365 * 70);
    commit(store, &weather(vec![snapshot(1, wrong)])).await;
    let right = snapshot(1, at(10));
    let fetched_at = right.synced_at;
    commit(store, &weather(vec![right])).await;
    let row = store.weather(CityId(1)).await.expect("reads").expect("a row");
    assert_eq!((row.observed_at, row.synced_at), (at(10), fetched_at));
}

/// Total, processed, succeeded, failed, skipped, rejected, duplicates.
async fn counters(store: &Store, slot: &str) -> (Option<u64>, [u64; 6]) {
    let row = store.job(job(slot)).await.expect("reads").expect("a job");
    let counters =
        [row.processed, row.succeeded, row.failed, row.skipped, row.rejected, row.duplicates];
    (row.total, counters)
}

async fn status(store: &Store, slot: &str) -> JobStatus {
    let row = store.job(job(slot)).await.expect("reads").expect("a job");
    let statuses = store.job_statuses(&[row.id]).await.expect("reads");
    assert_eq!(statuses.get(&row.id), Some(&row.status));
    row.status
}

async fn assert_balanced(store: &Store) {
    assert_eq!(store.imbalances().await.expect("reads"), vec![]);
}

async fn a_repeated_commit_changes_nothing(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let whole = Commit {
        failed_cities: vec![failure(4)],
        dead: vec![dead("tasks/1-0 of 1")],
        opens: vec![open(id)],
        seals: vec![seal(id, 5, 1, 1)],
        ledger: vec![
            row(id, 2, RowStatus::Success),
            row(id, 1, RowStatus::Failed),
            row(id, 3, RowStatus::Skipped),
            reject(id, 4),
        ],
        ..weather(vec![snapshot(2, at(0)), snapshot(1, at(0))])
    };
    let report = commit(store, &whole).await;
    let expected = CommitReport {
        succeeded: 1,
        failed: 2,
        skipped: 1,
        dead: 1,
        older: 0,
        late: 0,
        finished_jobs: vec![id],
    };
    assert_eq!(report, expected);
    let before = (
        store.job(id).await.expect("reads"),
        store.ledger(id, None, None, 10).await.expect("reads"),
        store.city(CityId(2)).await.expect("reads"),
        store.totals().await.expect("reads"),
    );
    assert_eq!(commit(store, &whole).await, CommitReport::default());
    let after = (
        store.job(id).await.expect("reads"),
        store.ledger(id, None, None, 10).await.expect("reads"),
        store.city(CityId(2)).await.expect("reads"),
        store.totals().await.expect("reads"),
    );
    assert_eq!(before, after);
    assert_eq!(counters(store, "a").await, (Some(5), [5, 1, 2, 2, 1, 1]));
    assert_balanced(store).await;
}

async fn an_older_observation_never_wins(subject: Subject) {
    let store = &subject.store;
    let (mut newer, mut older) = (snapshot(7, at(30)), snapshot(7, at(15)));
    newer.temperature = Some(-1.5);
    older.temperature = Some(30.0);
    commit(store, &weather(vec![newer.clone()])).await;
    // Its value is not stored, so the task did not succeed.
    let id = job("late");
    let late = Commit { ledger: vec![row(id, 7, RowStatus::Success)], ..weather(vec![older]) };
    let report = commit(store, &late).await;
    assert_eq!((report.succeeded, report.skipped, report.older), (0, 1, 1));
    let rows = store.ledger(id, None, None, 10).await.expect("reads");
    assert_eq!(rows[0].error_code.as_deref(), Some("older"), "{rows:?}");
    let read = async || {
        let weather = store.weather(CityId(7)).await.expect("reads");
        weather.expect("a snapshot")
    };
    assert_eq!(read().await.temperature, Some(-1.5));
    assert_eq!(read().await.observed_at, at(30));

    // The same observation, fetched again, is as good: it says when it was synced last.
    newer.synced_at = at(44);
    commit(store, &weather(vec![newer.clone()])).await;
    let stored = read().await;
    assert_eq!(stored.synced_at, at(44));
    assert_eq!(stored.raw_payload, Some(newer.raw_payload));
    assert_eq!((stored.time, stored.fresh_until), (newer.time, at(45)));
    assert_eq!((stored.latitude, stored.longitude), (45.5, -9.25));
    assert_eq!((stored.winddirection, stored.humidity), (Some(270), None));
}

async fn what_a_task_does_not_know_of_its_city_replaces_nothing(subject: Subject) {
    let store = &subject.store;
    let nameless = |city: i64, minutes: i64| {
        let mut snapshot = snapshot(city, at(minutes));
        snapshot.name = None;
        snapshot.country_code = None;
        snapshot.population = None;
        snapshot
    };
    commit(store, &weather(vec![snapshot(1, at(0)), nameless(2, 0)])).await;
    commit(store, &weather(vec![nameless(1, 1), nameless(2, 1)])).await;
    let one = store.city(CityId(1)).await.expect("reads").expect("there");
    assert_eq!(one.name, "Città 1");
    assert_eq!(one.country_code.as_deref(), Some("IT"));
    assert_eq!(one.population, Some(1_001));
    assert_eq!(one.weather.expect("a snapshot").observed_at, at(1));
    let two = store.city(CityId(2)).await.expect("reads").expect("there");
    assert_eq!((two.name.as_str(), two.country_code), ("City 2", None));

    commit(store, &weather(vec![snapshot(2, at(2))])).await;
    let named = store.find_cities("citta 2", None).await.expect("reads");
    assert_eq!(named.len(), 1, "the name that came later is found");
}

async fn a_failed_city_keeps_its_snapshot(subject: Subject) {
    let store = &subject.store;
    commit(store, &weather(vec![snapshot(1, at(0))])).await;
    let failed = Commit { failed_cities: vec![failure(1), failure(2)], ..Commit::default() };
    commit(store, &failed).await;
    let one = store.city(CityId(1)).await.expect("reads").expect("there");
    assert_eq!(one.last_status.as_deref(), Some("failed"));
    assert_eq!(one.last_error.as_deref(), Some("the upstream answered 500"));
    assert_eq!(one.last_refreshed_at, Some(at(1)), "the last success");
    assert_eq!(one.weather.expect("kept").temperature, Some(21.5));
    let two = store.city(CityId(2)).await.expect("reads").expect("there");
    assert_eq!((two.name.as_str(), two.weather), ("City 2", None));
    let fresh = store.freshness(&[CityId(1), CityId(2)]).await;
    let fresh = fresh.expect("reads");
    assert_eq!(fresh.len(), 1);
    assert_eq!(fresh[&CityId(1)].fresh_until, at(15));

    commit(store, &weather(vec![snapshot(1, at(5))])).await;
    let one = store.city(CityId(1)).await.expect("reads").expect("there");
    assert_eq!(one.last_status.as_deref(), Some("success"));
    assert_eq!(one.last_error, None);
}

async fn a_job_comes_out_the_same_in_any_order(subject: Subject) {
    let store = &subject.store;
    let parts = |slot: &str| {
        let id = job(slot);
        let opens = Commit { opens: vec![open(id)], ..Commit::default() };
        let tasks = vec![row(id, 1, RowStatus::Success), row(id, 2, RowStatus::Failed)];
        let rejects = vec![reject(id, 3)];
        [opens, ledger(tasks), ledger(rejects), seals(seal(id, 6, 1, 3))]
    };
    let orders = [
        ("0123", [0, 1, 2, 3]),
        ("3210", [3, 2, 1, 0]),
        ("2031", [2, 0, 3, 1]),
        ("1302", [1, 3, 0, 2]),
    ];
    for (slot, order) in orders {
        let parts = parts(slot);
        for part in order {
            commit(store, &parts[part]).await;
            commit(store, &parts[part]).await;
        }
        assert_eq!(status(store, slot).await, JobStatus::Done);
        assert_eq!(counters(store, slot).await, (Some(6), [6, 1, 2, 3, 1, 3]));
        let row = store.job(job(slot)).await.expect("reads").expect("a job");
        assert_eq!((row.kind, row.source.as_str()), (JobKind::Import, "cities.csv"));
        assert_eq!(row.created_at, at(-5));
        assert!(row.started_at.is_some() && row.finished_at.is_some());
    }
    assert_balanced(store).await;
}

async fn a_job_is_done_exactly_when_it_is_sealed_and_all_is_processed(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let opens = Commit { opens: vec![open(id)], ..Commit::default() };
    commit(store, &opens).await;
    assert_eq!(status(store, "a").await, JobStatus::Queued);
    let first = ledger(vec![row(id, 1, RowStatus::Success)]);
    assert_eq!(commit(store, &first).await.finished_jobs, vec![]);
    assert_eq!(status(store, "a").await, JobStatus::Running);
    assert_eq!(counters(store, "a").await.0, None, "no total before the seal");
    let sealed = commit(store, &seals(seal(id, 4, 0, 1))).await;
    assert_eq!(sealed, CommitReport::default());
    assert_eq!(counters(store, "a").await, (Some(4), [2, 1, 0, 1, 0, 1]));
    // A second seal is a repeat, whatever it says.
    commit(store, &seals(seal(id, 9, 0, 5))).await;
    assert_eq!(counters(store, "a").await, (Some(4), [2, 1, 0, 1, 0, 1]));
    commit(store, &ledger(vec![row(id, 2, RowStatus::Skipped)])).await;
    assert_eq!(status(store, "a").await, JobStatus::Running);
    let last = commit(store, &ledger(vec![row(id, 3, RowStatus::Failed)])).await;
    assert_eq!(last.finished_jobs, vec![id]);
    assert_eq!(status(store, "a").await, JobStatus::Done);
    let row = store.job(id).await.expect("reads").expect("a job");
    assert_eq!(row.started_at, Some(at(1)), "when its first task was done");

    let empty = commit(store, &seals(seal(job("empty"), 0, 0, 0))).await;
    assert_eq!(empty.finished_jobs, vec![job("empty")]);
    assert_balanced(store).await;
}

async fn a_source_that_failed_fails_its_job_once_the_rest_is_processed(subject: Subject) {
    let store = &subject.store;
    for (slot, outcome, end) in [
        ("failed", SealOutcome::Failed, JobStatus::Failed),
        ("cancelled", SealOutcome::Cancelled, JobStatus::Cancelled),
    ] {
        let id = job(slot);
        let mut sealed = seal(id, 2, 0, 0);
        sealed.outcome = outcome;
        commit(store, &ledger(vec![row(id, 1, RowStatus::Success)])).await;
        commit(store, &seals(sealed)).await;
        assert_eq!(status(store, slot).await, JobStatus::Running);
        let last = commit(store, &ledger(vec![row(id, 2, RowStatus::Skipped)])).await;
        assert_eq!(last.finished_jobs, vec![id]);
        assert_eq!(status(store, slot).await, end);
    }
}

async fn a_retry_moves_the_counters_and_a_late_first_try_does_not(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let first = vec![row(id, 1, RowStatus::Failed), row(id, 2, RowStatus::Success)];
    let done = Commit { seals: vec![seal(id, 3, 0, 0)], ..ledger(first.clone()) };
    commit(store, &done).await;
    let retried = LedgerRow { try_number: 2, attempts: 3, ..row(id, 1, RowStatus::Success) };
    // A first that is seen in its second try, beside the replacement of one that is there.
    let only_second = LedgerRow { try_number: 2, ..row(id, 3, RowStatus::Failed) };
    let retry = ledger(vec![only_second, retried]);
    let report = commit(store, &retry).await;
    assert_eq!((report.succeeded, report.failed), (1, 1));
    assert_eq!(report.finished_jobs, vec![id]);
    assert_eq!(counters(store, "a").await, (Some(3), [3, 2, 1, 0, 0, 0]));
    assert_eq!(commit(store, &retry).await, CommitReport::default());
    assert_eq!(commit(store, &ledger(first)).await, CommitReport::default());
    let late_first_try = ledger(vec![row(id, 3, RowStatus::Success)]);
    assert_eq!(commit(store, &late_first_try).await, CommitReport::default());
    let third = LedgerRow { try_number: 3, ..row(id, 3, RowStatus::Success) };
    assert_eq!(commit(store, &ledger(vec![third])).await.succeeded, 1);
    assert_eq!(counters(store, "a").await, (Some(3), [3, 3, 0, 0, 0, 0]));
    assert_eq!(status(store, "a").await, JobStatus::Done);
    let rows = store.ledger(id, None, None, 10).await.expect("reads");
    let tries: Vec<_> = rows.iter().map(|row| row.try_number).collect();
    assert_eq!(tries, [2, 1, 3]);
    assert!(rows.iter().all(|row| row.input.is_none() && row.last_error.is_none()));
    assert_balanced(store).await;
}

async fn a_row_that_comes_after_its_job_has_ended_is_counted_and_stored_nowhere(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let done =
        Commit { seals: vec![seal(id, 1, 0, 0)], ..ledger(vec![row(id, 1, RowStatus::Failed)]) };
    commit(store, &done).await;
    assert_eq!(status(store, "a").await, JobStatus::Done);
    let running = job("b");
    let rows = vec![row(id, 2, RowStatus::Success), row(running, 1, RowStatus::Success)];
    let report = commit(store, &ledger(rows)).await;
    assert_eq!(report, CommitReport { succeeded: 1, late: 1, ..CommitReport::default() });
    assert_eq!(counters(store, "a").await, (Some(1), [1, 0, 1, 0, 0, 0]));
    assert_eq!(store.ledger(id, None, None, 10).await.expect("reads").len(), 1);
    assert_eq!(store.late_rows().await.expect("reads"), [(id, 1)]);
    // The rows that it has are still tried again.
    let retried = LedgerRow { try_number: 2, ..row(id, 1, RowStatus::Success) };
    assert_eq!(commit(store, &ledger(vec![retried])).await.succeeded, 1);
    assert_eq!(counters(store, "a").await, (Some(1), [1, 1, 0, 0, 0, 0]));
    assert_balanced(store).await;
}

async fn retention_leaves_a_job_whose_rows_are_tried_again(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let done =
        Commit { seals: vec![seal(id, 1, 0, 0)], ..ledger(vec![row(id, 1, RowStatus::Failed)]) };
    commit(store, &done).await;
    let (day, now) = (Duration::from_hours(24), Utc::now());
    let in_days = |days: i64| now + TimeDelta::days(days);
    assert!(store.keep_for_retry(id, in_days(2)).await.expect("notes"));
    assert_eq!(store.prune(in_days(2), day, day).await.expect("prunes").0, 0);
    assert_eq!(store.prune(in_days(4), day, day).await.expect("prunes").0, 1);
    assert!(!store.keep_for_retry(id, in_days(4)).await.expect("asks"), "its rows are gone");
    // A retry that comes even later moves no counter.
    let retried = LedgerRow { try_number: 2, ..row(id, 1, RowStatus::Success) };
    let report = commit(store, &ledger(vec![retried])).await;
    assert_eq!(report, CommitReport { late: 1, ..CommitReport::default() });
    assert_eq!(counters(store, "a").await, (Some(1), [1, 0, 1, 0, 0, 0]));
    assert_balanced(store).await;
}

async fn a_dead_letter_is_buried_once_and_byte_for_byte(subject: Subject) {
    let store = &subject.store;
    let mut letter = dead("tasks/1-0 of 1");
    letter.reason = "a\0b".into();
    let one = Commit { dead: vec![letter.clone(), dead("tasks/2-0 of 1")], ..Commit::default() };
    assert_eq!(commit(store, &one).await.dead, 2);
    assert_eq!(commit(store, &one).await.dead, 0);
    let stored = store.dead_letters(&DeadLetterFilter::default(), None, 10).await.expect("reads");
    assert_eq!(stored.len(), 2);
    let newest = &stored[0];
    assert_eq!(newest.source, "tasks/2-0 of 1");
    let next =
        store.dead_letters(&DeadLetterFilter::default(), Some(newest.id), 10).await.expect("reads");
    letter.id = next[0].id;
    letter.reason = "ab".into();
    assert_eq!(next, vec![letter]);
}

async fn a_task_that_another_entry_has_ended_is_not_buried_again(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let ended_by = |entry: &str, try_number| Commit {
        ledger: vec![LedgerRow {
            entry: Some(entry.to_owned()),
            try_number,
            ..row(id, 1, RowStatus::Failed)
        }],
        dead: vec![DeadLetter {
            job_id: Some(id),
            task_id: Some(task(id, 1)),
            ..dead(&format!("epoch/tasks/{entry}"))
        }],
        ..Commit::default()
    };
    assert_eq!(commit(store, &ended_by("1-0", 1)).await.dead, 1);
    assert_eq!(commit(store, &ended_by("1-0", 1)).await.dead, 0, "the same commit once more");
    // The stream was lost and filled again.
    assert_eq!(commit(store, &ended_by("11-0", 1)).await.dead, 0);
    assert_eq!(commit(store, &ended_by("12-0", 2)).await.dead, 1, "a retry ends anew");
    assert_eq!(counters(store, "a").await.1[2], 1);
}

async fn data_that_cannot_be_stored_is_a_data_error_and_changes_nothing(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let mut bad = snapshot(2, at(0));
    bad.raw_payload = "{\"a\":\"\0\"}".into();
    let whole = Commit {
        ledger: vec![row(id, 1, RowStatus::Success)],
        ..weather(vec![snapshot(1, at(0)), bad])
    };
    let refused = store.commit(&whole).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Data { .. }), "{refused:?}");
    assert!(!refused.is_transient());
    assert_eq!(store.city(CityId(1)).await.expect("reads"), None);
    assert_eq!(store.job(id).await.expect("reads"), None);
    let mut bad = row(id, 1, RowStatus::Success);
    bad.city = Some("a\0b".into());
    let refused = store.commit(&ledger(vec![bad])).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Data { .. }), "{refused:?}");
    // A sentence loses the character instead.
    let mut told = row(id, 1, RowStatus::Failed);
    told.last_error = Some("upstream said \0".into());
    assert_eq!(commit(store, &ledger(vec![told])).await.failed, 1);
}

async fn two_workers_on_the_same_rows_count_each_once(subject: Subject) {
    let other = subject.open_again().await.expect("opens");
    let id = job("a");
    let mut work = tokio::task::JoinSet::new();
    for worker in 0..6_u64 {
        let store = if worker % 2 == 0 { &subject.store } else { &other };
        let store = store.clone();
        // Overlapping halves, in opposite orders, so that the locks would meet in a circle.
        let mut numbers: Vec<u64> = (worker * 20 + 1..=worker * 20 + 60).collect();
        if worker % 2 == 0 {
            numbers.reverse();
        }
        let commit = Commit {
            failed_cities: numbers.iter().map(|n| failure(*n as i64 + 200)).collect(),
            ledger: numbers.iter().map(|n| row(id, *n, RowStatus::Success)).collect(),
            ..weather(numbers.iter().map(|n| snapshot(*n as i64, at(0))).collect())
        };
        work.spawn(async move { store.commit(&commit).await.expect("commits").succeeded });
    }
    let counted: u64 = work.join_all().await.into_iter().sum();
    assert_eq!(counted, 160);
    assert_eq!(counters(&subject.store, "a").await, (None, [160, 160, 0, 0, 0, 0]));
    assert_balanced(&subject.store).await;
}

async fn a_job_that_was_announced_keeps_its_name(subject: Subject) {
    let store = &subject.store;
    let announced = NewJob {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        id: job("a"),
        kind: JobKind::Sync,
        source: "the city service".into(),
        created_at: at(-9),
    };
    store.create_job(&announced).await.expect("creates");
    store.create_job(&announced).await.expect("is repeated");
    let opens = Commit {
        opens: vec![open(job("a"))],
        ..ledger(vec![row(job("b"), 1, RowStatus::Success)])
    };
    commit(store, &opens).await;
    let late = NewJob {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        id: job("b"),
        ..announced
    };
    store.create_job(&late).await.expect("names it");
    for slot in ["a", "b"] {
        let row = store.job(job(slot)).await.expect("reads").expect("a job");
        assert_eq!((row.kind, row.created_at), (JobKind::Sync, at(-9)));
        assert_eq!(row.source, "the city service");
    }
    assert_eq!(counters(store, "b").await, (None, [1, 1, 0, 0, 0, 0]));
}

async fn a_job_without_a_readable_source_ends(subject: Subject) {
    let store = &subject.store;
    let new = NewJob {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        id: job("a"),
        kind: JobKind::Sync,
        source: "the city service".into(),
        created_at: at(0),
    };
    store.create_job(&new).await.expect("creates");
    store.fail_job(new.id, at(1)).await.expect("fails");
    assert_eq!(status(store, "a").await, JobStatus::Failed);
    let row = store.job(new.id).await.expect("reads").expect("a job");
    assert_eq!(row.finished_at, Some(at(1)));
    // One of which something was published is not ended so.
    commit(store, &ledger(vec![super::fixtures::row(job("b"), 1, RowStatus::Success)])).await;
    store.fail_job(job("b"), at(1)).await.expect("is ignored");
    assert_eq!(status(store, "b").await, JobStatus::Running);
}
