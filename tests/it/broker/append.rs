//! Appending: once, in order, all or nothing, and never above the mark (I1, I2, I6).

use std::time::Duration;

use isobar_broker::{
    AppendOutcome, BatchRecord, BrokerError, Depth, EntryId, Lane, Publisher, Topic,
};

use super::{Batch, HOUR, World, job, over_both};

over_both! {
    a_batch_arrives_whole_in_order_and_as_it_was_written,
    the_same_call_again_adds_nothing,
    an_older_batch_again_adds_nothing,
    other_content_under_a_used_number_is_a_conflict,
    a_number_too_far_ahead_is_a_gap,
    a_stream_that_knows_nothing_of_a_job_starts_at_its_floor,
    a_batch_that_would_pass_the_mark_is_refused_whole,
    a_payload_that_is_no_list_of_pairs_writes_nothing,
    two_jobs_append_at_once_and_neither_loses_an_entry,
    a_whole_stream_is_left_as_it_is,
    after_a_loss_there_is_a_new_epoch_and_no_record,
    a_stream_that_is_not_there_asks_to_be_healed,
    a_record_counts_what_was_acknowledged_and_knows_what_is_left,
    control_messages_count_as_entries_of_their_batch,
    an_ended_job_is_forgotten,
    a_job_belongs_to_the_outbox_that_began_it,
    who_published_a_job_is_known_after_its_end,
    two_topics_do_not_see_each_other,
}

async fn depth(world: &World) -> Depth {
    world.broker.depth(&world.topic, HOUR).await.expect("depth")
}

async fn a_batch_arrives_whole_in_order_and_as_it_was_written(world: World) {
    let batch = Batch::new(job(), 1, 20).with_control(2);
    assert_eq!(world.send(&batch).await, AppendOutcome::Sent);
    for (lane, sent) in [(Lane::Tasks, &batch.tasks), (Lane::Control, &batch.control)] {
        let found = world.broker.peek(&world.topic, lane, EntryId::ZERO, 100).await.expect("peeks");
        assert!(found.is_sorted_by_key(|entry| entry.id));
        let fields: Vec<String> = found
            .iter()
            .map(|entry| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
                let pairs = entry.fields.0.iter();
                let items: Vec<String> = pairs.flat_map(|(k, v)| [text(k), text(v)]).collect();
                serde_json::to_string(&items).expect("JSON")
            })
            .collect();
        assert_eq!(&fields, sent);
    }
    let depth = depth(&world).await;
    assert_eq!((depth.tasks, depth.control), (20, 2));
    assert_eq!((depth.undelivered, depth.pending), (22, 0));
    assert_eq!(depth.next_due_ms, None);
}

async fn the_same_call_again_adds_nothing(world: World) {
    let batch = Batch::new(job(), 1, 5).with_control(1);
    assert_eq!(world.send(&batch).await, AppendOutcome::Sent);
    assert_eq!(world.send(&batch).await, AppendOutcome::Duplicate);
    // As a process that never saw the reply sends it.
    let again = batch.send_by(&world.elsewhere(), &world.topic).await;
    assert_eq!(again.expect("appends"), AppendOutcome::Duplicate);
    assert_eq!((depth(&world).await.tasks, depth(&world).await.control), (5, 1));
}

async fn an_older_batch_again_adds_nothing(world: World) {
    let job = job();
    let first = Batch::new(job, 1, 5).with_control(1);
    assert_eq!(world.send(&first).await, AppendOutcome::Sent);
    assert_eq!(world.send(&Batch::new(job, 2, 5)).await, AppendOutcome::Sent);
    assert_eq!(world.send(&first).await, AppendOutcome::Duplicate);
    assert_eq!(depth(&world).await.tasks, 10);
    let mut other = first.clone();
    other.hash = "0".repeat(64);
    assert_eq!(world.send(&other).await, AppendOutcome::Conflict);
}

async fn other_content_under_a_used_number_is_a_conflict(world: World) {
    let job = job();
    world.send(&Batch::new(job, 1, 3)).await;
    let mut other = Batch::new(job, 1, 3);
    other.hash = "0".repeat(64);
    assert_eq!(world.send(&other).await, AppendOutcome::Conflict);
    let mut not_after = Batch::new(job, 2, 3);
    not_after.previous_hash = "0".repeat(64);
    assert_eq!(world.send(&not_after).await, AppendOutcome::Conflict);
    assert_eq!(depth(&world).await.tasks, 3);
    assert!(matches!(world.send(&Batch::new(job, 2, 3)).await, AppendOutcome::Sent));
}

async fn a_number_too_far_ahead_is_a_gap(world: World) {
    let job = job();
    world.send(&Batch::new(job, 1, 3)).await;
    assert_eq!(world.send(&Batch::new(job, 5, 3)).await, AppendOutcome::Gap { expected: 2 });
    assert_eq!(depth(&world).await.tasks, 3);
}

async fn a_stream_that_knows_nothing_of_a_job_starts_at_its_floor(world: World) {
    let job = job();
    let late = Batch::new(job, 7, 2).with_floor(4);
    assert_eq!(world.send(&late).await, AppendOutcome::Gap { expected: 4 });
    let floor = Batch::new(job, 4, 2).with_floor(4);
    assert_eq!(world.send(&floor).await, AppendOutcome::Sent);
    let next = Batch::new(job, 5, 2).with_floor(4);
    assert_eq!(world.send(&next).await, AppendOutcome::Sent);
}

async fn a_batch_that_would_pass_the_mark_is_refused_whole(world: World) {
    let job = job();
    let first = Batch::new(job, 1, 6).with_high_water(10);
    assert_eq!(world.send(&first).await, AppendOutcome::Sent);
    let second = Batch::new(job, 2, 5).with_control(1).with_high_water(10);
    assert_eq!(world.send(&second).await, AppendOutcome::Full { unfinished: 6 });
    assert_eq!((depth(&world).await.tasks, depth(&world).await.control), (6, 0));
    // A seal alone passes a full lane of tasks: it needs none of it.
    let seal = Batch::new(super::job(), 1, 0).with_control(1).with_high_water(6);
    assert_eq!(world.send(&seal).await, AppendOutcome::Sent);
    let done: Vec<EntryId> = world.read("w", 3).await.iter().map(|entry| entry.id).collect();
    assert!(!done.is_empty());
    world.broker.ack(&world.topic, Lane::Tasks, &done).await.expect("acks");
    let fits = Batch::new(job, 2, 1).with_high_water(10);
    assert_eq!(world.send(&fits).await, AppendOutcome::Sent);
}

async fn a_payload_that_is_no_list_of_pairs_writes_nothing(world: World) {
    for bad in ["[\"task_id\"]", "[]", "not json"] {
        let mut batch = Batch::new(job(), 1, 3);
        batch.tasks.push(bad.to_owned());
        let refused = batch.try_send(&world).await;
        assert!(matches!(refused, Err(BrokerError::Unexpected { .. })), "{bad}: {refused:?}");
    }
    assert!(depth(&world).await.is_empty());
}

async fn two_jobs_append_at_once_and_neither_loses_an_entry(world: World) {
    let elsewhere = world.elsewhere();
    let one = async {
        let job = job();
        for seq in 1..=20 {
            let sent = Batch::new(job, seq, 7).send_by(&world.broker, &world.topic).await;
            assert!(matches!(sent, Ok(AppendOutcome::Sent)), "{sent:?}");
        }
    };
    let other = async {
        let job = job();
        for seq in 1..=20 {
            let sent = Batch::new(job, seq, 5).send_by(&elsewhere, &world.topic).await;
            assert!(matches!(sent, Ok(AppendOutcome::Sent)), "{sent:?}");
        }
    };
    tokio::join!(one, other);
    assert_eq!(depth(&world).await.tasks, 20 * 12);
}

async fn a_whole_stream_is_left_as_it_is(world: World) {
    let job = world.add_tasks(3).await;
    let healed = world.broker.heal(&world.topic).await.expect("heals");
    assert!(!healed.recreated);
    assert_eq!(world.record(job).await, Some(BatchRecord { size: 3, acked: 0, is_left: true }));
    let again = world.broker.heal(&world.topic).await.expect("heals");
    assert_eq!((again.recreated, again.epoch), (false, healed.epoch));
}

async fn after_a_loss_there_is_a_new_epoch_and_no_record(mut world: World) {
    let job = job();
    let first = Batch::new(job, 1, 3);
    let before = world.broker.heal(&world.topic).await.expect("heals").epoch;
    assert_eq!(world.send(&first).await, AppendOutcome::Sent);
    world.lose_everything().await;
    assert_eq!(world.record(job).await, None);
    assert!(matches!(first.try_send(&world).await, Err(BrokerError::Missing { .. })));
    let healed = world.broker.heal(&world.topic).await.expect("heals");
    assert!(healed.recreated);
    assert_ne!(healed.epoch, before);
    assert_eq!(world.record(job).await, None);
    assert_eq!(world.send(&first).await, AppendOutcome::Sent);
    assert_eq!(world.read("w", 10).await.len(), 3);
}

async fn a_stream_that_is_not_there_asks_to_be_healed(world: World) {
    let topic = Topic::new("another-stream", "workers");
    let sent = Batch::new(job(), 1, 1).send_by(&world.broker, &topic).await;
    assert!(matches!(sent, Err(BrokerError::Missing { stream }) if stream == "another-stream"));
    let read = world.broker.read(&topic, "w", 1, super::NOW).await;
    assert!(matches!(read, Err(BrokerError::Missing { .. })));
    // Who only looks has nothing to heal.
    let depth = world.broker.depth(&topic, HOUR).await.expect("depth");
    assert!(depth.is_empty());
    let consumers = world.broker.consumers(&topic).await.expect("consumers");
    assert_eq!(consumers, []);
}

async fn a_record_counts_what_was_acknowledged_and_knows_what_is_left(world: World) {
    let one = world.add_tasks(3).await;
    let other = world.add_tasks(1).await;
    let records = async || [world.record(one).await, world.record(other).await];
    let known = |size, acked| Some(BatchRecord { size, acked, is_left: acked < size });
    assert_eq!(records().await, [known(3, 0), known(1, 0)]);
    let mut ids: Vec<EntryId> = world.read("w", 10).await.iter().map(|entry| entry.id).collect();
    assert_eq!(world.ack(&[]).await, 0);
    assert_eq!(world.ack(&ids[..1]).await, 1);
    assert_eq!(world.ack(&ids[..1]).await, 0, "a repeat counts nothing");
    assert_eq!(records().await, [known(3, 1), known(1, 0)]);
    // Of both batches, in any order.
    ids.reverse();
    assert_eq!(world.ack(&ids).await, 3);
    assert_eq!(records().await, [known(3, 3), known(1, 1)]);
    world.broker.forget_batches(&world.topic, one, 1..=7).await.expect("forgets");
    world.broker.forget_batches(&world.topic, one, 1..=7).await.expect("forgets");
    assert_eq!(records().await, [None, known(1, 1)]);
}

async fn control_messages_count_as_entries_of_their_batch(world: World) {
    let job = job();
    let batch = Batch::new(job, 1, 1).with_control(2);
    assert_eq!(world.send(&batch).await, AppendOutcome::Sent);
    for entry in world.read("w", 10).await {
        assert!(world.record(job).await.is_some_and(|record| record.is_left));
        let acked = world.broker.ack(&world.topic, entry.lane, &[entry.id]).await;
        assert_eq!(acked.expect("acks"), 1);
    }
    let finished = BatchRecord { size: 3, acked: 3, is_left: false };
    assert_eq!(world.record(job).await, Some(finished));
}

async fn an_ended_job_is_forgotten(world: World) {
    let job = world.add_tasks(1).await;
    assert_eq!(world.send(&Batch::new(job, 3, 1)).await, AppendOutcome::Gap { expected: 2 });
    for _ in 0..2 {
        world.broker.end_job(&world.topic, job).await.expect("forgets");
        assert_eq!(world.record(job).await, None);
    }
    let third = Batch::new(job, 3, 1).with_floor(3);
    assert_eq!(world.send(&third).await, AppendOutcome::Sent);
}

fn published(outbox: &str, seq: u64, total: Option<u64>) -> AppendOutcome {
    let hash = format!("{seq:064x}");
    let outbox = outbox.to_owned();
    AppendOutcome::Taken(Publisher { outbox, seq, hash, total, silent: Duration::ZERO })
}

/// The outcome without the time, which differs from run to run.
async fn offered(world: &World, batch: &Batch, outbox: &str) -> AppendOutcome {
    let batch = Batch { outbox: outbox.to_owned(), ..batch.clone() };
    match world.send(&batch).await {
        AppendOutcome::Taken(publisher) => {
            assert!(publisher.silent < HOUR, "{publisher:?}");
            AppendOutcome::Taken(Publisher { silent: Duration::ZERO, ..publisher })
        }
        other => other,
    }
}

async fn a_job_belongs_to_the_outbox_that_began_it(world: World) {
    let job = job();
    let (first, second) = (Batch::new(job, 1, 3), Batch::new(job, 2, 3));
    assert_eq!(offered(&world, &first, "a@one").await, AppendOutcome::Sent);
    for batch in [&first, &second] {
        assert_eq!(offered(&world, batch, "b@two").await, published("a@one", 1, None));
    }
    assert_eq!(offered(&world, &second, "a@one").await, AppendOutcome::Sent);
    let take =
        async |from, to| world.broker.take_over(&world.topic, job, from, to).await.expect("asks");
    assert!(!take("c@three", "b@two").await);
    assert!(take("a@one", "b@two").await);
    assert_eq!(offered(&world, &first, "a@one").await, published("b@two", 2, None));
    assert_eq!(offered(&world, &first, "b@two").await, AppendOutcome::Duplicate);
    assert_eq!(depth(&world).await.tasks, 6);
}

async fn who_published_a_job_is_known_after_its_end(world: World) {
    let only = Batch { total: Some(5), ..Batch::new(job(), 1, 3) };
    assert_eq!(offered(&world, &only, "a@one").await, AppendOutcome::Sent);
    let ids: Vec<EntryId> = world.read("w", 10).await.iter().map(|entry| entry.id).collect();
    world.ack(&ids).await;
    world.broker.end_job(&world.topic, only.job_id).await.expect("ends");
    assert_eq!(offered(&world, &only, "b@two").await, published("a@one", 1, Some(5)));
    assert!(depth(&world).await.is_empty());
}

async fn two_topics_do_not_see_each_other(world: World) {
    let other = Topic::new("user-enrichment-stream", "enrichment-workers");
    world.broker.heal(&other).await.expect("heals");
    world.add_tasks(2).await;
    let read = world.broker.read(&other, "w", 10, super::NOW).await;
    assert_eq!(read.expect("reads"), []);
    assert_eq!(world.read("w", 10).await.len(), 2);
}
