//! Keys of imports: the first claim gets the key and holds it until it expires.

use chrono::TimeDelta;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_store::{ImportKey, NewJob};
use tokio::task::JoinSet;

use super::fixtures::{at, job};
use super::{Subject, on_both};

on_both!(the_first_claim_has_the_key, a_key_expires_after_its_job_and_not_before);

fn claim(key: &str, name: &str, minute: i64) -> ImportKey {
    ImportKey { key: key.into(), job_id: job(name), name: name.into(), claimed_at: at(minute) }
}

async fn the_first_claim_has_the_key(subject: Subject) {
    let store = &subject.store;
    let first = claim("monday", "a", 1);
    assert_eq!(store.claim_import_key(&first).await.expect("claims"), first);
    for later in [claim("monday", "a", 2), claim("monday", "b", 3)] {
        assert_eq!(store.claim_import_key(&later).await.expect("claims"), first);
    }
    let other = claim("tuesday", "b", 4);
    assert_eq!(store.claim_import_key(&other).await.expect("claims"), other);

    let mut claims = JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        claims.spawn(async move {
            store.claim_import_key(&claim("at once", &number.to_string(), 5)).await
        });
    }
    let answers: Vec<_> = claims.join_all().await.into_iter().map(|a| a.expect("claims")).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

async fn a_key_expires_after_its_job_and_not_before(subject: Subject) {
    let store = &subject.store;
    let later = |name: &str, days: i64| {
        let claim = claim("k", name, 1);
        ImportKey { claimed_at: claim.claimed_at + TimeDelta::days(days), ..claim }
    };
    let held_by =
        async |claim: ImportKey| store.claim_import_key(&claim).await.expect("claims").name;
    assert_eq!(held_by(later("a", 0)).await, "a");
    let running = NewJob {
        id: job("a"),
        kind: JobKind::Import,
        pipeline: PipelineName::default(),
        source: "a".into(),
        created_at: at(1),
    };
    store.create_job(&running).await.expect("creates");
    assert_eq!(held_by(later("b", 90)).await, "a", "its job has not ended");
    store.fail_job(job("a"), at(1) + TimeDelta::days(90)).await.expect("ends");
    assert_eq!(held_by(later("b", 119)).await, "a", "it ended 29 days ago");
    assert_eq!(held_by(later("b", 121)).await, "b");
    assert_eq!(held_by(later("c", 150)).await, "b", "no job came of it yet");
    assert_eq!(held_by(later("c", 152)).await, "c");
}
