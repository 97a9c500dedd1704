//! What a Redis server or its operator can do to us, and what becomes of it.
//!
//! The embedded broker has no server to kill, fill, flush or misconfigure, and each entry's owner
//! stands in its own row, so that no entry can lose it: these are for Redis alone.

use isobar_broker::redis::RedisBroker;
use isobar_broker::{
    AppendOutcome, Broker, BrokerError, Budget, EntryId, GiveBack, Lane, QuotaDecision, ScanCursor,
    Topic,
};
use isobar_model::quota::QuotaLimits;

use super::{Batch, HOUR, NOW, World, job};
use crate::harness::redis::Redis;
use crate::harness::wait::{PATIENCE, eventually, until};

/// A world whose server is at hand.
struct Server {
    world: World,
    redis: Redis,
}

async fn server() -> Server {
    let World { broker, topic, place } = World::redis().await;
    let super::Place::Redis(redis) = place else { unreachable!("it is Redis") };
    // The world's place is not asked again.
    let place = super::Place::File(tempfile::tempdir().expect("a folder"));
    Server { world: World { broker, topic, place }, redis: *redis }
}

#[tokio::test]
async fn the_same_broker_works_again_after_a_kill_and_a_restart() {
    let Server { world, mut redis } = server().await;
    world.add_tasks(3).await;
    assert_eq!(world.read("w", 1).await.len(), 1);
    eventually(PATIENCE, "the append-only file is on disk", async || {
        let info: String = redis.cli(&["INFO", "persistence"]).await;
        (info.contains("aof_pending_bio_fsync:0") && info.contains("aof_buffer_length:0"))
            .then_some(())
    })
    .await;
    redis.kill9().await;
    let down = world.broker.ping().await;
    assert!(matches!(down, Err(BrokerError::Unavailable { .. })), "{down:?}");
    let renewed = world.broker.renew(&world.topic, "w", Lane::Tasks, &[EntryId::ZERO]).await;
    assert!(matches!(renewed, Err(BrokerError::Unavailable { .. })), "{renewed:?}");
    redis.start_again().await;
    // One call may find its old connection broken; the next one dials.
    until(PATIENCE, "the broker answers", async || world.broker.ping().await.is_ok()).await;
    let read = eventually(PATIENCE, "the reader dials too", async || {
        world.broker.read(&world.topic, "w", 10, NOW).await.ok()
    })
    .await;
    assert_eq!(read.len(), 2);
    world.add_tasks(1).await;
}

/// As managed servers do after some minutes.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_dialled_anew() {
    let Server { world, redis } = server().await;
    world.broker.ping().await.expect("answers");
    let _: String = redis.cli(&["CONFIG", "SET", "timeout", "1"]).await;
    until(PATIENCE, "the server has closed what is idle", async || {
        let clients: String = redis.cli(&["CLIENT", "LIST"]).await;
        clients.trim().lines().count() == 1
    })
    .await;
    world.broker.ping().await.expect("the first call has a new connection");
}

#[tokio::test]
async fn a_server_that_dies_under_a_waiting_reader_is_an_error_and_not_a_hang() {
    let Server { world, mut redis } = server().await;
    let elsewhere = world.broker.clone();
    let (read, ()) = tokio::join!(elsewhere.read(&world.topic, "w", 10, PATIENCE * 2), async {
        until(PATIENCE, "the reader waits", async || {
            let clients: String = redis.cli(&["INFO", "clients"]).await;
            clients.contains("blocked_clients:1")
        })
        .await;
        redis.kill9().await;
    });
    assert!(matches!(read, Err(BrokerError::Unavailable { .. })), "{read:?}");
}

#[tokio::test]
async fn a_stream_that_is_flushed_under_a_waiting_reader_is_missing_and_heals() {
    let Server { world, redis } = server().await;
    let old = world.broker.heal(&world.topic).await.expect("heals");
    let (read, ()) = tokio::join!(world.broker.read(&world.topic, "w", 9, PATIENCE * 2), async {
        until(PATIENCE, "the reader waits", async || {
            let clients: String = redis.cli(&["INFO", "clients"]).await;
            clients.contains("blocked_clients:1")
        })
        .await;
        redis.cli::<()>(&["FLUSHALL"]).await;
    });
    assert!(matches!(read, Err(BrokerError::Missing { .. })), "{read:?}");
    let healed = world.broker.heal(&world.topic).await.expect("heals");
    assert!(healed.recreated);
    assert_ne!(healed.epoch, old.epoch);
}

#[tokio::test]
async fn what_others_appended_before_the_group_existed_is_delivered() {
    let redis = Redis::start().await;
    let broker = Broker::Redis(RedisBroker::at(&redis.url()).expect("a URL"));
    let topic = Topic::new("owm-ingestion-stream", "ingestion-workers");
    let id = "6fa1c1f0-52c4-4c39-9a55-000000000001";
    redis.cli::<String>(&["XADD", &topic.stream, "*", "task_id", id, "city", "Paris"]).await;
    assert!(broker.heal(&topic).await.expect("heals").recreated);
    let read = broker.read(&topic, "w", 10, NOW).await.expect("reads");
    assert_eq!(read[0].fields.get("city"), Some(b"Paris".as_slice()));
}

#[tokio::test]
async fn a_full_redis_takes_no_batch_but_is_drained() {
    let Server { world, redis } = server().await;
    let job = job();
    world.send(&Batch::new(job, 1, 3)).await;
    redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let next = Batch::new(job, 2, 3).with_control(1);
    let full = next.try_send(&world).await;
    assert!(matches!(full, Err(BrokerError::NoRoom { .. })), "{full:?}");
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert_eq!((depth.tasks, depth.control), (3, 0));
    assert_eq!(
        world.broker.batch_records(&world.topic, job, "", &[2]).await.expect("asks"),
        [None]
    );

    // All that a worker does to make room goes on.
    let limits = QuotaLimits { minute: Some(10), ..QuotaLimits::default() };
    let quota = world.broker.quota_reserve("h", &limits, 5, false).await;
    let Ok(QuotaDecision::Granted(reservation)) = quota else { panic!("{quota:?}") };
    world.broker.quota_correct("h", &reservation, 1).await.expect("settles");
    world.broker.quota_block("h", NOW).await.expect("shuts");
    assert!(world.broker.slot_acquire("h", "w", 1, HOUR).await.expect("a place"));
    let read = world.read("w", 10).await;
    assert_eq!(read.len(), 3);
    let ids: Vec<EntryId> = read.iter().map(|entry| entry.id).collect();
    let lost = world.broker.renew(&world.topic, "w", Lane::Tasks, &ids).await;
    assert_eq!(lost.expect("renews"), []);
    let back = [GiveBack { id: ids[0], delay: NOW, counted: Some(Budget::Attempt) }];
    let lost = world.broker.give_back(&world.topic, "w", Lane::Tasks, &back, HOUR).await;
    assert_eq!(lost.expect("gives back"), []);
    assert_eq!(world.claim("w", HOUR).await[0].attempts, 1);
    let ended = world.broker.ack(&world.topic, Lane::Tasks, &ids).await;
    assert_eq!(ended.expect("acks"), 3);
    assert!(world.record(job).await.is_some_and(|record| record.is_finished()));

    redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(matches!(world.send(&next).await, AppendOutcome::Sent));
}

/// A stranger removes entries: what is left of the batch is waited for, then it is appended again.
#[tokio::test]
async fn a_batch_that_a_stranger_trimmed_is_lost_and_appended_again() {
    let Server { world, redis } = server().await;
    let job = job();
    let batch = Batch::new(job, 1, 4);
    assert_eq!(world.send(&batch).await, AppendOutcome::Sent);
    assert_eq!(world.send(&Batch::new(job, 2, 1)).await, AppendOutcome::Sent);
    let ids: Vec<EntryId> = world.read("w", 4).await.iter().map(|entry| entry.id).collect();
    assert_eq!(world.ack(&ids[..1]).await, 1);
    let removed = redis.cli::<u64>(&["XDEL", &world.topic.stream, &ids[1].to_string()]).await;
    assert_eq!(removed, 1);
    assert!(world.record(job).await.is_some_and(|record| record.is_left));
    assert_eq!(world.send(&batch).await, AppendOutcome::Duplicate, "two of it are in work");
    assert_eq!(world.ack(&ids[1..]).await, 2, "what was removed does not count");
    let lost = world.record(job).await.expect("a record");
    assert!(lost.is_lost() && lost.acked == 3, "{lost:?}");
    assert_eq!(world.send(&batch).await, AppendOutcome::Sent);
    assert_eq!(world.send(&batch).await, AppendOutcome::Duplicate);
    assert_eq!(
        world.send(&Batch::new(job, 3, 1)).await,
        AppendOutcome::Sent,
        "the mark is as it was"
    );
    let again: Vec<EntryId> = world.read("w", 10).await.iter().map(|entry| entry.id).collect();
    assert_eq!(world.ack(&again).await, 6);
    assert!(world.record(job).await.is_some_and(|record| record.is_finished()));
    world.broker.forget_batches(&world.topic, job, 1..=3).await.expect("forgets");
    for key in [&world.topic.batches, &world.topic.spans] {
        assert_eq!(redis.cli::<u64>(&["EXISTS", key]).await, 0, "{key} is left");
    }
}

/// A job that was being published at an upgrade continues.
#[tokio::test]
async fn a_watermark_of_an_earlier_version_is_understood() {
    let Server { world, redis } = server().await;
    let job = job();
    let old = format!("1 {:064x} 5-0 5-2 5-3 5-3 5-2 5-3", 1);
    let _: u64 = redis.cli(&["HSET", &world.topic.watermarks, &job.to_string(), &old]).await;
    let second = Batch { outbox: "a@one".into(), ..Batch::new(job, 2, 1) };
    assert_eq!(world.send(&second).await, AppendOutcome::Sent);
    assert_eq!(world.send(&second).await, AppendOutcome::Duplicate);
}

#[tokio::test]
async fn a_key_that_is_not_ours_is_refused_before_anything_is_written() {
    let Server { world, redis } = server().await;
    redis.cli::<()>(&["SET", &world.topic.watermarks, "mine"]).await;
    let refused = Batch::new(job(), 1, 2).try_send(&world).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    assert_eq!(redis.cli::<u64>(&["XLEN", &world.topic.stream]).await, 0);

    let other = Topic::new("someones-list", "workers");
    redis.cli::<u64>(&["RPUSH", &other.stream, "x"]).await;
    for refused in [
        world.broker.heal(&other).await.map(drop),
        Batch::new(job(), 1, 2).send_by(&world.broker, &other).await.map(drop),
    ] {
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_handed_over_again() {
    let Server { world, redis } = server().await;
    world.add_tasks(1).await;
    redis.cli::<()>(&["SCRIPT", "FLUSH"]).await;
    world.add_tasks(1).await;
    assert_eq!(world.read("w", 10).await.len(), 2);
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_dialled_again() {
    let Server { world, redis } = server().await;
    redis.cli::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let batch = Batch::new(job(), 1, 1);
    let replica = batch.try_send(&world).await;
    assert!(matches!(replica, Err(BrokerError::Unavailable { .. })), "{replica:?}");
    redis.cli::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(matches!(world.send(&batch).await, AppendOutcome::Sent));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_a_crowded_server_is_not() {
    let Server { world, redis } = server().await;
    let mut operator = redis.connection().await;
    let mut config = async |name: &str, value: &str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg(name).arg(value);
        command.query_async::<()>(&mut operator).await.expect("is set");
    };
    let at = |login: &str| {
        let url = format!("redis://{login}127.0.0.1:{}", redis.port());
        Broker::Redis(RedisBroker::at(&url).expect("a URL"))
    };
    config("requirepass", "hunter2").await;
    for login in ["", ":wrong@"] {
        let refused = at(login).ping().await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
        assert!(!format!("{refused:?}").contains("wrong@"));
    }
    at(":hunter2@").ping().await.expect("the password is right");
    config("maxclients", "1").await;
    for login in ["", ":hunter2@"] {
        let crowded = at(login).ping().await;
        assert!(matches!(crowded, Err(BrokerError::Unavailable { .. })), "{crowded:?}");
    }
    // Who is connected already goes on.
    world.add_tasks(1).await;
}

#[tokio::test]
async fn nobody_there_is_an_error_of_the_call_and_not_of_the_start() {
    let port = crate::harness::port::free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let broker = Broker::Redis(RedisBroker::at(&url).expect("a URL"));
    assert_eq!(broker.location(), format!("127.0.0.1:{port}"));
    let absent = broker.ping().await.expect_err("nobody is there");
    assert!(matches!(absent, BrokerError::Unavailable { .. }) && absent.is_transient());
}

#[tokio::test]
async fn entries_whose_consumer_was_deleted_by_hand_are_adopted() {
    let Server { world, redis } = server().await;
    world.send(&Batch::new(job(), 1, 5).with_control(1)).await;
    let mut read = world.read("gone", 10).await;
    read.extend(world.read("gone", 10).await);
    assert_eq!(read.len(), 6);
    world.add_tasks(2).await;
    let Topic { stream, group, control, .. } = &world.topic;
    for key in [stream, control] {
        redis.cli::<u64>(&["XGROUP", "DELCONSUMER", key, group, "gone"]).await;
    }
    assert_eq!(world.claim("w", NOW).await, [], "they are pending for nobody");
    for (lane, orphans) in [(Lane::Tasks, 5), (Lane::Control, 1), (Lane::Tasks, 0)] {
        let mut position = ScanCursor::default();
        let found = world.broker.adopt_orphans(&world.topic, lane, &mut position, HOUR).await;
        assert_eq!(found.expect("an answer"), orphans, "{lane:?}");
    }
    let adopted = world.claim("w", HOUR).await;
    assert_eq!(adopted.len(), 5);
    assert!(adopted.iter().all(|entry| entry.deliveries == 2));
    assert_eq!(world.read("w", 10).await.len(), 2, "what is new is no orphan");
}

#[tokio::test]
async fn the_search_for_orphans_goes_on_where_it_ended() {
    let Server { world, redis } = server().await;
    for seq in 0..3 {
        world.add_tasks(400 + seq).await;
    }
    let mut read = 0;
    while read < 1_203 {
        read += world.read("gone", 1_203 - read).await.len();
    }
    let Topic { stream, group, .. } = &world.topic;
    redis.cli::<u64>(&["XGROUP", "DELCONSUMER", stream, group, "gone"]).await;
    let (mut position, mut found) = (ScanCursor::default(), 0);
    for _ in 0..4 {
        let page = world.broker.adopt_orphans(&world.topic, Lane::Tasks, &mut position, HOUR).await;
        found += page.expect("an answer");
    }
    assert_eq!(found, 1_203);
}
