//! Dead letters: each is found by what people know of it, and a filter means the same everywhere.

use isobar_store::{
    Commit, DeadLetter, DeadLetterFilter, LedgerCursor, LedgerRow, RowStatus, Store,
};

use super::fixtures::{dead, job, ledger, reject, row, task};
use super::{Subject, on_both};

on_both!(
    a_filter_lists_and_counts_the_same_dead_letters,
    pages_of_a_filter_are_stable_while_others_die,
    letters_are_counted_by_code,
    letters_are_deleted_by_id_and_discarded_by_filter,
    failed_rows_come_with_their_input_and_the_letters_of_their_task,
);

/// Six letters of two codes and two jobs, one of them of no job.
async fn bury_six(store: &Store) {
    let mut letters = Vec::new();
    for (number, slot, code) in [
        (1, Some("a"), "upstream_error"),
        (2, Some("a"), "city_not_found"),
        (3, Some("b"), "upstream_error"),
        (4, None, "undecodable"),
        (5, Some("a"), "upstream_error"),
        (6, Some("b"), "city_not_found"),
    ] {
        letters.push(DeadLetter {
            job_id: slot.map(job),
            code: code.into(),
            ..dead(&format!("tasks/{number}-0 of 1"))
        });
    }
    store.commit(&Commit { dead: letters, ..Commit::default() }).await.expect("commits");
}

fn numbers(letters: &[DeadLetter]) -> Vec<&str> {
    letters.iter().map(|letter| &letter.source[6..7]).collect()
}

fn filter(code: Option<&str>, slot: Option<&str>, id: Option<i64>) -> DeadLetterFilter {
    DeadLetterFilter { code: code.map(Into::into), job_id: slot.map(job), id }
}

async fn a_filter_lists_and_counts_the_same_dead_letters(subject: Subject) {
    let store = &subject.store;
    bury_six(store).await;
    let all = store.dead_letters(&DeadLetterFilter::default(), None, 10).await.expect("reads");
    let three = all.iter().find(|letter| letter.source.contains("/3-")).map(|letter| letter.id);
    let cases: [(DeadLetterFilter, &[&str]); 10] = [
        (filter(None, None, None), &["6", "5", "4", "3", "2", "1"]),
        (filter(Some("upstream_error"), None, None), &["5", "3", "1"]),
        (filter(None, Some("a"), None), &["5", "2", "1"]),
        (filter(Some("city_not_found"), Some("a"), None), &["2"]),
        (filter(None, None, three), &["3"]),
        (filter(Some("upstream_error"), Some("b"), three), &["3"]),
        (filter(Some("undecodable"), None, three), &[]),
        (filter(None, Some("a"), three), &[]),
        (filter(Some("unheard\0of"), None, None), &[]),
        (filter(None, None, Some(i64::MIN)), &[]),
    ];
    for (filter, expected) in cases {
        let listed = store.dead_letters(&filter, None, 10).await.expect("reads");
        assert_eq!(numbers(&listed), expected, "{filter:?}");
        let counted = store.count_dead_letters(&filter).await.expect("reads");
        assert_eq!(counted, expected.len() as u64, "{filter:?}");
    }
    let below = store.dead_letters(&filter(None, None, three), three, 10).await.expect("reads");
    assert_eq!(below, vec![]);
}

async fn pages_of_a_filter_are_stable_while_others_die(subject: Subject) {
    let store = &subject.store;
    bury_six(store).await;
    for filter in [filter(Some("upstream_error"), None, None), filter(None, Some("a"), None)] {
        let whole = store.dead_letters(&filter, None, 10).await.expect("reads");
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = store.dead_letters(&filter, before, 1).await.expect("reads");
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            let newer = DeadLetter {
                job_id: Some(job("a")),
                code: "upstream_error".into(),
                ..dead(&format!("tasks/{}-1 of {}", last.id, seen.len()))
            };
            seen.extend(page);
            store
                .commit(&Commit { dead: vec![newer], ..Commit::default() })
                .await
                .expect("commits");
        }
        assert_eq!(seen, whole);
    }
}

async fn letters_are_counted_by_code(subject: Subject) {
    let store = &subject.store;
    bury_six(store).await;
    let groups = async |slot: Option<&str>| {
        let groups = store.dead_letter_groups(slot.map(job)).await.expect("reads");
        groups.into_iter().map(|group| (group.code, group.count)).collect::<Vec<_>>()
    };
    let named = |groups: &[(&str, u64)]| -> Vec<(String, u64)> {
        groups.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect()
    };
    let all = named(&[("upstream_error", 3), ("city_not_found", 2), ("undecodable", 1)]);
    assert_eq!(groups(None).await, all);
    assert_eq!(groups(Some("b")).await, named(&[("city_not_found", 1), ("upstream_error", 1)]));
    assert_eq!(groups(Some("unheard of")).await, []);
}

async fn letters_are_deleted_by_id_and_discarded_by_filter(subject: Subject) {
    let store = &subject.store;
    bury_six(store).await;
    let all = store.dead_letters(&DeadLetterFilter::default(), None, 10).await.expect("reads");
    let ids = [all[0].id, all[5].id, all[0].id, i64::MAX];
    assert_eq!(store.delete_dead_letters(&ids).await.expect("deletes"), 2);
    assert_eq!(store.delete_dead_letters(&ids).await.expect("deletes"), 0, "repeated");
    assert_eq!(store.delete_dead_letters(&[]).await.expect("deletes"), 0);
    let of_code = filter(Some("upstream_error"), None, None);
    assert_eq!(store.discard_dead_letters(&of_code).await.expect("discards"), 2);
    let left = store.dead_letters(&DeadLetterFilter::default(), None, 10).await.expect("reads");
    assert_eq!(numbers(&left), ["4", "2"]);
    let all = DeadLetterFilter::default();
    assert_eq!(store.discard_dead_letters(&all).await.expect("discards"), 2);
    assert_eq!(store.count_dead_letters(&all).await.expect("counts"), 0);
}

async fn failed_rows_come_with_their_input_and_the_letters_of_their_task(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let mut rows: Vec<LedgerRow> = [1, 2, 4].map(|n| row(id, n, RowStatus::Failed)).to_vec();
    rows.push(LedgerRow { row: None, try_number: 2, ..row(id, 5, RowStatus::Failed) });
    rows.extend([
        row(id, 3, RowStatus::Success),
        reject(id, 6),
        row(job("b"), 1, RowStatus::Failed),
    ]);
    let letter = |number: u64, source: &str| DeadLetter {
        task_id: Some(task(id, number)),
        job_id: Some(id),
        ..dead(source)
    };
    let strange = DeadLetter { job_id: Some(job("b")), ..letter(2, "tasks/3") };
    let commit = Commit {
        dead: vec![letter(2, "a/2-0"), letter(2, "b/2-0"), strange, letter(5, "a/5-0")],
        ..ledger(rows)
    };
    store.commit(&commit).await.expect("commits");
    assert_eq!(store.count_failed_inputs(id).await.expect("counts"), 4);
    assert_eq!(store.count_failed_inputs(job("c")).await.expect("counts"), 0);

    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = store.failed_inputs(id, after, 3).await.expect("reads");
        let Some(last) = page.last() else { break };
        after = Some(LedgerCursor { row: last.row, task_id: last.task_id });
        found.extend(page);
    }
    let shape: Vec<_> =
        found.iter().map(|row| (row.row, row.try_number, row.letters.len())).collect();
    assert_eq!(shape, [(Some(1), 1, 0), (Some(2), 1, 2), (Some(4), 1, 0), (None, 2, 1)]);
    assert!(found.iter().all(|row| row.input.contains("task_id")));
    assert!(found[1].letters[0] < found[1].letters[1]);
    assert_eq!(found[1].task_id, task(id, 2));
}
