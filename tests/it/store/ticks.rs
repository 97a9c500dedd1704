//! What schedulers may rely on: a tick is one owner's at a time, and over once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_model::schedule::{LastTick, TickOutcome};
use isobar_store::{Store, Tick, TickClaim, TickResult};
use tokio::task::JoinSet;

use super::fixtures::{at, job};
use super::{Subject, on_both};
use crate::harness::wait::{PATIENCE, until};

/// Longer than any test takes.
const LONG: Duration = Duration::from_hours(1);
const NOTHING: Duration = Duration::ZERO;
const CLAIMERS: u32 = 20;

on_both!(
    of_twenty_claimers_one_has_the_tick,
    of_twenty_claimers_one_takes_over_what_the_dead_left,
    a_tick_belongs_to_its_owner_until_its_lease_ends,
    a_lease_that_runs_out_by_itself_lets_others_in,
    a_finished_tick_is_never_fired_again,
    a_schedule_has_one_unfinished_tick_and_another_schedule_has_its_own,
    of_twenty_who_want_different_ticks_of_a_schedule_one_runs,
    what_is_not_run_is_noted_once,
    ticks_come_newest_first_and_those_of_a_clock_ahead_are_not_in_the_way,
    old_ticks_go_and_the_newest_of_a_schedule_stays,
);

fn claim(minute: i64, owner: &str) -> TickClaim {
    TickClaim {
        schedule: "sync".into(),
        tick: at(minute),
        owner: owner.into(),
        job_id: Some(job(&minute.to_string())),
        started_at: at(minute),
        lease: LONG,
    }
}

fn ending(minute: i64, outcome: TickOutcome) -> TickResult {
    TickResult { at: at(minute), outcome, detail: format!("ended\0 as {}", outcome.as_str()) }
}

fn done(minute: i64) -> TickResult {
    ending(minute, TickOutcome::Done)
}

async fn claimed(store: &Store, claim: &TickClaim) -> bool {
    store.claim_tick(claim).await.expect("answers")
}

/// How many of twenty claims at once are let in.
async fn race(store: &Store, claims: impl Fn(u32) -> TickClaim) -> Vec<TickClaim> {
    let mut claimers = JoinSet::new();
    for number in 0..CLAIMERS {
        let (store, claim) = (store.clone(), claims(number));
        claimers.spawn(async move { claimed(&store, &claim).await.then_some(claim) });
    }
    claimers.join_all().await.into_iter().flatten().collect()
}

async fn of_twenty_claimers_one_has_the_tick(subject: Subject) {
    let winners = race(&subject.store, |number| claim(1, &number.to_string())).await;
    assert_eq!(winners.len(), 1);
    let tick = subject.store.unfinished_tick("sync").await.expect("reads").expect("there");
    assert_eq!(
        tick,
        Tick {
            schedule: "sync".into(),
            tick: at(1),
            owner: winners[0].owner.clone(),
            started_at: at(1),
            done_at: None,
            outcome: None,
            detail: None,
            job_id: Some(job("1")),
        }
    );
}

async fn of_twenty_claimers_one_takes_over_what_the_dead_left(subject: Subject) {
    let store = &subject.store;
    assert!(claimed(store, &TickClaim { lease: NOTHING, ..claim(1, "dead") }).await);
    let winners =
        race(store, |number| TickClaim { started_at: at(5), ..claim(1, &number.to_string()) })
            .await;
    assert_eq!(winners.len(), 1);
    let tick = store.unfinished_tick("sync").await.expect("reads").expect("there");
    assert_eq!((tick.owner, tick.started_at), (winners[0].owner.clone(), at(1)));
    assert!(!store.finish_tick(&claim(1, "dead"), &done(2)).await.expect("answers"));
    assert!(!store.renew_tick(&claim(1, "dead"), LONG).await.expect("answers"));
    assert!(store.finish_tick(&winners[0], &done(6)).await.expect("answers"));
}

async fn a_tick_belongs_to_its_owner_until_its_lease_ends(subject: Subject) {
    let store = &subject.store;
    let (own, other) = (claim(1, "a"), claim(1, "b"));
    assert!(claimed(store, &own).await);
    assert!(!claimed(store, &other).await);
    assert!(!claimed(store, &own).await, "not even its owner has it twice");
    assert!(!store.renew_tick(&other, LONG).await.expect("answers"));
    assert!(!store.finish_tick(&other, &done(2)).await.expect("answers"));
    // A lease of nothing gives it back.
    assert!(store.renew_tick(&own, NOTHING).await.expect("answers"));
    assert!(claimed(store, &other).await);
    assert!(!store.renew_tick(&own, LONG).await.expect("answers"));
    // One that ran out and that nobody took may still be renewed.
    assert!(store.renew_tick(&other, NOTHING).await.expect("answers"));
    assert!(store.renew_tick(&other, LONG).await.expect("answers"));
    assert!(!claimed(store, &own).await);
}

async fn a_lease_that_runs_out_by_itself_lets_others_in(subject: Subject) {
    let store = &subject.store;
    let short = TickClaim { lease: Duration::from_secs(2), ..claim(1, "a") };
    assert!(claimed(store, &short).await);
    assert!(!claimed(store, &claim(1, "b")).await);
    until(PATIENCE, "the lease has ended", async || claimed(store, &claim(1, "b")).await).await;
}

async fn a_finished_tick_is_never_fired_again(subject: Subject) {
    let store = &subject.store;
    for (minute, outcome) in (1..).zip(TickOutcome::ALL) {
        let own = TickClaim { lease: NOTHING, ..claim(minute, "a") };
        assert!(claimed(store, &own).await);
        assert!(store.finish_tick(&own, &ending(minute + 1, outcome)).await.expect("answers"));
        assert!(!claimed(store, &claim(minute, "b")).await, "{outcome:?}");
        assert!(!store.renew_tick(&own, LONG).await.expect("answers"));
        assert!(!store.finish_tick(&own, &done(9)).await.expect("answers"), "only once");
        let tick = store.last_tick("sync", at(minute)).await.expect("reads").expect("there");
        assert_eq!((tick.outcome, tick.done_at), (Some(outcome), Some(at(minute + 1))));
        let detail = tick.detail.clone().expect("a sentence");
        assert!(detail.ends_with(&format!(" as {}", outcome.as_str())), "{detail}");
        let busy_until = if outcome == TickOutcome::Missed { at(minute) } else { at(minute + 1) };
        assert_eq!(tick.last_tick(), LastTick { tick: at(minute), busy_until });
    }
    assert_eq!(store.unfinished_tick("sync").await.expect("reads"), None);
}

async fn a_schedule_has_one_unfinished_tick_and_another_schedule_has_its_own(subject: Subject) {
    let store = &subject.store;
    assert!(claimed(store, &TickClaim { lease: NOTHING, ..claim(1, "a") }).await);
    assert!(!claimed(store, &claim(2, "b")).await, "what the dead left comes first");
    let users = TickClaim { schedule: "users".into(), job_id: None, ..claim(1, "a") };
    assert!(claimed(store, &users).await);
    let tick = store.unfinished_tick("users").await.expect("reads").expect("there");
    assert_eq!((tick.tick, tick.job_id), (at(1), None));
    assert!(claimed(store, &claim(1, "b")).await);
    assert!(store.finish_tick(&claim(1, "b"), &done(3)).await.expect("answers"));
    assert!(claimed(store, &claim(2, "b")).await);
}

async fn of_twenty_who_want_different_ticks_of_a_schedule_one_runs(subject: Subject) {
    let winners = race(&subject.store, |number| claim(i64::from(number), "a")).await;
    assert_eq!(winners.len(), 1);
}

async fn what_is_not_run_is_noted_once(subject: Subject) {
    let store = &subject.store;
    assert!(claimed(store, &claim(1, "a")).await);
    let overlap = ending(3, TickOutcome::SkippedOverlap);
    let mut noters = JoinSet::new();
    for number in 0..CLAIMERS {
        let (store, overlap) = (store.clone(), overlap.clone());
        let claim = claim(2, &number.to_string());
        noters.spawn(
            async move { store.record_skipped_tick(&claim, &overlap).await.expect("answers") },
        );
    }
    let noted = noters.join_all().await.into_iter().filter(|noted| *noted).count();
    assert_eq!(noted, 1, "also while another tick of the schedule is unfinished");
    assert!(!claimed(store, &claim(2, "b")).await);
    let missed = ending(3, TickOutcome::Missed);
    assert!(
        !store.record_skipped_tick(&claim(1, "b"), &missed).await.expect("answers"),
        "it is running"
    );
    let tick = store.last_tick("sync", at(2)).await.expect("reads").expect("there");
    assert_eq!((tick.outcome, tick.started_at), (Some(TickOutcome::SkippedOverlap), at(3)));
    assert_eq!(tick.last_tick(), LastTick { tick: at(2), busy_until: at(3) });
}

async fn ticks_come_newest_first_and_those_of_a_clock_ahead_are_not_in_the_way(subject: Subject) {
    let store = &subject.store;
    let missed = |minute| ending(minute, TickOutcome::Missed);
    for minute in [3, 1, 2, 400_000] {
        assert!(
            store.record_skipped_tick(&claim(minute, "a"), &missed(minute)).await.expect("answers")
        );
    }
    let other = TickClaim { schedule: "users".into(), ..claim(9, "a") };
    assert!(store.record_skipped_tick(&other, &missed(9)).await.expect("answers"));
    let mut seen = Vec::new();
    let mut before: Option<DateTime<Utc>> = None;
    while let Some(tick) = store.ticks("sync", before, 1).await.expect("reads").pop() {
        before = Some(tick.tick);
        seen.push(tick.tick);
    }
    assert_eq!(seen, [400_000, 3, 2, 1].map(at));
    assert_eq!(store.ticks("sync", Some(at(3)), 50).await.expect("reads").len(), 2);
    for (time, expected) in [(0, None), (1, Some(at(1))), (5, Some(at(3)))] {
        let last = store.last_tick("sync", at(time)).await.expect("reads");
        assert_eq!(last.map(|tick| tick.tick), expected);
    }
}

async fn old_ticks_go_and_the_newest_of_a_schedule_stays(subject: Subject) {
    const DAY: Duration = Duration::from_hours(24);
    let store = &subject.store;
    for minute in 0..1_200 {
        let missed = ending(minute, TickOutcome::Missed);
        assert!(store.record_skipped_tick(&claim(minute, "a"), &missed).await.expect("answers"));
    }
    let yearly = TickClaim { schedule: "users".into(), ..claim(0, "a") };
    let missed = ending(0, TickOutcome::Missed);
    assert!(store.record_skipped_tick(&yearly, &missed).await.expect("answers"));
    let counts = async || {
        let sync = store.ticks("sync", None, 2_000).await.expect("reads").len();
        (sync, store.ticks("users", None, 50).await.expect("reads").len())
    };
    store.prune(at(600) + DAY, DAY, DAY).await.expect("prunes");
    assert_eq!(counts().await, (600, 1));
    assert!(claimed(store, &TickClaim { lease: NOTHING, ..claim(1_201, "a") }).await);
    store.prune(at(600) + DAY * 900, DAY, DAY).await.expect("prunes");
    assert_eq!(counts().await, (1, 1), "what is unfinished is no one's history yet");
}
