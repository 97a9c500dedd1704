//! Commands do the work themselves where nobody else is there to do it.

use isobar_store::{JobStatus, RowStatus};
use serde_json::{Value, json};

use super::{CITIES, Place, on_both};

on_both!(
    failed_rows_are_retried_to_success_and_counters_move,
    a_retry_asked_for_twice_at_once_is_one,
    a_job_with_rejects_alone_has_nothing_to_retry,
    a_letter_of_no_job_is_replayed_and_what_is_no_task_stays,
    a_replay_that_dies_again_comes_back_as_one_letter_a_task,
    a_replay_survives_the_death_of_its_worker,
    a_letter_whose_ledger_is_gone_moves_no_counter,
    discarding_takes_what_is_meant_and_touches_no_account,
);

const PARIS: &[u8] = br#"{"task_id":"6fa1c1f0-52c4-4c39-9a55-000000000007","latitude_deg":"48.85","longitude_deg":"2.35","city_id":"7007"}"#;

async fn failed_rows_are_retried_to_success_and_counters_move(place: Place) {
    let job = place.failed_job("monday").await;
    let before = place.job(job).await;
    let asked = place.retry(job).await;
    assert_eq!((&asked["tasks"], &asked["published"]), (&json!(CITIES), &json!(CITIES)), "{asked}");
    assert_eq!(place.letters(job).await, [], "they are safe in the outbox");
    place.verify().await;
    place.drain().await.expect_code(0);
    place.all_is_well(job).await;
    let after = place.job(job).await;
    assert_eq!((after.status, after.finished_at), (JobStatus::Done, before.finished_at));
    let again = place.retry(job).await;
    assert_eq!((&again["tasks"], &again["published"]), (&json!(0), &json!(0)));
    assert_ne!(again["retry_id"], asked["retry_id"], "the first one is over");
}

async fn a_retry_asked_for_twice_at_once_is_one(place: Place) {
    let job = place.failed_job("monday").await;
    let (one, two) = tokio::join!(place.retry(job), place.retry(job));
    assert_eq!(one["retry_id"], two["retry_id"], "{one} {two}");
    let third = place.retry(job).await;
    assert_eq!(third["retry_id"], one["retry_id"], "its tasks are on their way");
    assert_eq!(place.unfinished().await, CITIES);
    place.drain().await.expect_code(0);
    place.all_is_well(job).await;
}

async fn a_job_with_rejects_alone_has_nothing_to_retry(place: Place) {
    let job = place.produce("monday", 0).await;
    // For the rejected row.
    place.drain().await.expect_code(3);
    assert_eq!(place.counts(job).await, [2, 1, 1, 0]);
    let asked = place.retry(job).await;
    assert_eq!((&asked["tasks"], &asked["published"]), (&json!(0), &json!(0)));
    assert_eq!(place.counts(job).await, [2, 1, 1, 0]);
    place.verify().await;
}

async fn a_letter_of_no_job_is_replayed_and_what_is_no_task_stays(place: Place) {
    let control = br#"{"kind":"seal","job_id":"x","body":"{}"}"#;
    place.bury(&[PARIS, control, b"task_id=\xff\n", b""]).await;
    let dry = place.isobar(["dead", "replay", "--all", "--dry-run", "--json"]).run().await;
    assert_eq!(dry.expect_code(0).json(), json!({"dry_run": true, "matched": 4, "replayable": 1}));
    assert_eq!((place.all_letters().await, place.unfinished().await), (4, 0));
    let asked = place.isobar(["dead", "replay", "--all", "--json"]).run().await;
    let asked = asked.expect_code(0).json();
    assert_eq!(
        ["matched", "replayable", "published"].map(|name| asked[name].as_u64()),
        [Some(4), Some(1), Some(1)]
    );
    place.verify().await;
    place.drain().await.expect_code(0);
    assert_eq!(place.all_letters().await, 3);
    assert!(place.store.weather(isobar_model::ids::CityId(7007)).await.expect("reads").is_some());
    place.verify().await;
}

async fn a_replay_that_dies_again_comes_back_as_one_letter_a_task(place: Place) {
    let job = place.failed_job("monday").await;
    let id = job.to_string();
    for tries in 2..=3 {
        let old: Vec<i64> = place.letters(job).await.iter().map(|letter| letter.id).collect();
        place.isobar(["dead", "replay", "--job", &id]).run().await.expect_code(0);
        assert_eq!(place.letters(job).await, []);
        place.fail().await;
        let letters = place.letters(job).await;
        assert_eq!(letters.len() as u64, CITIES);
        for letter in letters {
            let payload: Value = serde_json::from_slice(&letter.payload).expect("JSON");
            assert_eq!(payload["try"], json!(tries.to_string()));
            assert!(!old.contains(&letter.id));
        }
        assert_eq!(place.counts(job).await, [CITIES + 2, 0, CITIES + 1, 1]);
        place.verify().await;
    }
    let rows = place.store.ledger(job, Some(RowStatus::Failed), None, 500).await.expect("reads");
    assert_eq!(rows.iter().filter(|row| row.try_number == 3).count() as u64, CITIES);
}

async fn a_replay_survives_the_death_of_its_worker(place: Place) {
    let job = place.failed_job("monday").await;
    place.isobar(["dead", "replay", "--code", "upstream_error"]).run().await.expect_code(0);
    assert_eq!(place.letters(job).await, []);
    for point in ["consumer.fetch.after", "consumer.commit.after"] {
        let drain = place.isobar(["consume", "--drain"]).env("ISOBAR_CRASH_AT", point);
        assert_eq!(drain.run().await.code, 134, "{point}");
        place.verify().await;
    }
    place.drain().await.expect_code(0);
    place.all_is_well(job).await;
}

async fn a_letter_whose_ledger_is_gone_moves_no_counter(place: Place) {
    let job = place.failed_job("monday").await;
    place.forget_ledgers().await;
    let before = place.job(job).await;
    place.isobar(["dead", "replay", "--job", &job.to_string()]).run().await.expect_code(0);
    assert_eq!(place.unfinished().await, CITIES);
    place.drain().await.expect_code(0);
    assert_eq!(place.job(job).await, before);
    assert_eq!(place.letters(job).await, []);
    place.verify().await;
}

async fn discarding_takes_what_is_meant_and_touches_no_account(place: Place) {
    let job = place.failed_job("monday").await;
    place.bury(&[PARIS]).await;
    let refused = place.isobar(["dead", "discard"]).run().await.expect_code(2);
    assert!(refused.stderr.contains("or use --all"), "{}", refused.stderr);
    place.isobar(["dead", "replay", "--dry-run"]).run().await.expect_code(2);
    let id = job.to_string();
    let dry = ["dead", "discard", "--job", &id, "--dry-run", "--json"];
    let dry = place.isobar(dry).run().await.expect_code(0).json();
    assert_eq!(dry, json!({"dry_run": true, "discarded": CITIES}));
    assert_eq!(place.all_letters().await, CITIES + 1);
    let done = place.isobar(["dead", "discard", "--job", &id, "--json"]).run().await;
    assert_eq!(done.expect_code(0).json(), json!({"dry_run": false, "discarded": CITIES}));
    assert_eq!(place.all_letters().await, 1);
    assert_eq!(place.counts(job).await, [CITIES + 2, 0, CITIES + 1, 1]);
    place.verify().await;
    // The ledger still knows the inputs.
    assert_eq!(place.retry(job).await["tasks"], json!(CITIES));
    place.drain().await.expect_code(0);
    place.all_is_well(job).await;
    let done = place.store.operations(None, 10).await.expect("reads");
    let done: Vec<_> = done
        .iter()
        .map(|row| (row.action.as_str(), row.subject.clone(), row.detail.clone()))
        .collect();
    assert_eq!(
        done,
        [("job.retry", Some(id.clone()), None), ("dead.discard", None, Some(format!("job {id}"))),],
        "a dry run is none"
    );
}
