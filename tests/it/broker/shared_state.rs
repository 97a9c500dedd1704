//! What roles share beside the stream: cache, upstream quota, places at a host, heartbeats.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{QuotaDecision, Reservation};
use isobar_model::quota::QuotaLimits;
use serde_json::json;

use super::{HOUR, World, over_both};
use crate::harness::wait::{PATIENCE, eventually, until};

over_both! {
    a_cached_answer_lives_as_long_as_it_was_told,
    a_quota_is_shared_and_says_until_when_it_is_shut,
    a_tenth_of_a_quota_is_kept_back,
    more_than_a_whole_window_is_granted_when_it_is_empty,
    a_reservation_is_settled_to_what_was_counted,
    a_host_that_is_shut_is_shut_for_everyone,
    hosts_have_quotas_of_their_own,
    places_are_limited_and_free_themselves,
    heartbeats_are_forgotten_when_they_fall_silent,
}

const HOST: &str = "api.open-meteo.com";
/// Long enough that no test sees a window end.
const DAILY: QuotaLimits = QuotaLimits { minute: None, hour: None, day: Some(100) };
const SHORT: Duration = Duration::from_millis(40);

impl World {
    async fn reserve(&self, weight: u64, keep_back: bool) -> QuotaDecision {
        let broker = self.elsewhere();
        let answer = broker.quota_reserve(HOST, &DAILY, weight, keep_back).await;
        answer.expect("an answer")
    }

    async fn granted(&self, weight: u64) -> Reservation {
        match self.reserve(weight, false).await {
            QuotaDecision::Granted(reservation) => reservation,
            QuotaDecision::Exhausted { until } => panic!("shut until {until}"),
        }
    }

    async fn used_today(&self) -> u64 {
        let used = self.broker.quota_usage(HOST, &DAILY).await;
        used.expect("an answer").day
    }
}

fn shut_until(answer: &QuotaDecision) -> DateTime<Utc> {
    match answer {
        QuotaDecision::Exhausted { until } => *until,
        QuotaDecision::Granted(reservation) => panic!("granted: {reservation:?}"),
    }
}

/// What is told as a duration is as exact as the way to the broker is short.
fn assert_about(one: DateTime<Utc>, other: DateTime<Utc>) {
    assert!((one - other).abs() < chrono::Duration::minutes(1), "{one} and {other}");
}

async fn a_cached_answer_lives_as_long_as_it_was_told(world: World) {
    let broker = &world.broker;
    let value = [0, 159, 146, 150, b'{'];
    broker.cache_set("weather:1", &value, HOUR).await.expect("sets");
    broker.cache_set("weather:2", b"short", SHORT).await.expect("sets");
    let got = world.elsewhere().cache_get("weather:1").await;
    let (got, left) = got.expect("gets").expect("is there");
    assert_eq!(got, value);
    assert!(left <= HOUR && left + PATIENCE > HOUR, "{left:?}");
    until(PATIENCE, "the short one is gone", async || {
        broker.cache_get("weather:2").await.expect("gets").is_none()
    })
    .await;
    assert_eq!(broker.cache_len().await.expect("counts"), 1);
    broker.cache_set("weather:1", b"newer", HOUR).await.expect("sets");
    let got = broker.cache_get("weather:1").await.expect("gets");
    assert_eq!(got.expect("is there").0, b"newer");
    assert_eq!(broker.cache_len().await.expect("counts"), 1);
}

async fn a_quota_is_shared_and_says_until_when_it_is_shut(world: World) {
    world.granted(60).await;
    world.granted(40).await;
    let until = shut_until(&world.reserve(1, false).await);
    let midnight = (Utc::now() + chrono::Duration::days(1)).date_naive();
    assert_about(until, midnight.and_time(chrono::NaiveTime::MIN).and_utc());
    let used = world.broker.quota_usage(HOST, &DAILY).await.expect("an answer");
    assert_eq!((used.minute, used.hour, used.day), (100, 100, 100));
    assert_about(used.blocked_until.expect("shut"), until);
}

async fn a_tenth_of_a_quota_is_kept_back(world: World) {
    world.granted(90).await;
    shut_until(&world.reserve(1, true).await);
    world.granted(10).await;
}

async fn more_than_a_whole_window_is_granted_when_it_is_empty(world: World) {
    world.granted(1_000).await;
    shut_until(&world.reserve(1, false).await);
}

async fn a_reservation_is_settled_to_what_was_counted(world: World) {
    let failed = world.granted(50).await;
    let refused = world.granted(50).await;
    let settle = async |reservation, used| {
        let settled = world.broker.quota_correct(HOST, reservation, used).await;
        settled.expect("settles");
    };
    settle(&failed, 1).await;
    assert_eq!(world.used_today().await, 51);
    settle(&refused, 0).await;
    assert_eq!(world.used_today().await, 1);
    // One of a day that is over changes nothing today.
    let old = Reservation { weight: 50, at_ms: failed.at_ms - 86_400_000 };
    settle(&old, 0).await;
    assert_eq!(world.used_today().await, 1);
    world.granted(99).await;
}

async fn a_host_that_is_shut_is_shut_for_everyone(world: World) {
    world.broker.quota_block(HOST, HOUR).await.expect("shuts");
    let until_hour = shut_until(&world.reserve(1, false).await);
    assert!(until_hour > Utc::now() + chrono::Duration::minutes(59));
    // A shorter wait does not open it sooner.
    world.broker.quota_block(HOST, SHORT).await.expect("shuts");
    assert_about(shut_until(&world.reserve(1, false).await), until_hour);
    let used = world.broker.quota_usage(HOST, &DAILY).await.expect("an answer");
    assert_eq!(used.day, 0);
    assert_about(used.blocked_until.expect("shut"), until_hour);
    // And it opens by itself.
    let other = "127.0.0.1";
    world.broker.quota_block(other, SHORT).await.expect("shuts");
    until(PATIENCE, "the host is open again", async || {
        let answer = world.broker.quota_reserve(other, &DAILY, 1, false).await;
        matches!(answer.expect("an answer"), QuotaDecision::Granted(_))
    })
    .await;
}

async fn hosts_have_quotas_of_their_own(world: World) {
    world.granted(100).await;
    let other = world.broker.quota_reserve("127.0.0.1", &DAILY, 100, false).await;
    assert!(matches!(other, Ok(QuotaDecision::Granted(_))));
    let unlimited = QuotaLimits::default();
    let counted = world.broker.quota_reserve(HOST, &unlimited, 7, true).await;
    assert!(matches!(counted, Ok(QuotaDecision::Granted(_))));
    assert_eq!(world.used_today().await, 107);
}

async fn places_are_limited_and_free_themselves(world: World) {
    let elsewhere = world.elsewhere();
    let acquire = async |holder: &str, ttl| {
        let acquired = elsewhere.slot_acquire(HOST, holder, 2, ttl).await;
        acquired.expect("an answer")
    };
    assert!(acquire("a", HOUR).await);
    assert!(acquire("b", HOUR).await);
    assert!(!acquire("c", HOUR).await);
    assert!(acquire("a", HOUR).await, "who holds one holds it");
    world.broker.slot_release(HOST, "a").await.expect("releases");
    assert!(acquire("c", SHORT).await);
    // The holder of that one dies.
    until(PATIENCE, "its place is free", async || acquire("d", HOUR).await).await;
    assert!(!acquire("e", HOUR).await);
}

async fn heartbeats_are_forgotten_when_they_fall_silent(world: World) {
    let broker = &world.broker;
    let state = json!({"breaker": "closed", "queue": {"pending": 3}});
    broker.heartbeat("worker:a", &state, HOUR).await.expect("beats");
    broker.heartbeat("worker:b", &json!({}), SHORT).await.expect("beats");
    broker.heartbeat("api:x", &json!(1), HOUR).await.expect("beats");
    let beats = eventually(PATIENCE, "the silent one is forgotten", async || {
        let beats = world.elsewhere().heartbeats().await.expect("heartbeats");
        (beats.len() == 2).then_some(beats)
    })
    .await;
    assert_eq!(beats, [("api:x".to_owned(), json!(1)), ("worker:a".to_owned(), state)]);
    broker.heartbeat("api:x", &json!(2), HOUR).await.expect("beats");
    let beats = broker.heartbeats().await.expect("heartbeats");
    assert_eq!(beats[0].1, json!(2));
}
