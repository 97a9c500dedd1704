//! Appending: once, in order, all or nothing, and never above the mark (I1, I2, I6).

use isobar_broker::{AppendOutcome, BrokerError, Depth, EntryId, Lane, Topic};

use super::{Batch, HOUR, World, job, over_both};

over_both! {
    a_batch_arrives_whole_in_order_and_as_it_was_written,
    the_same_call_again_adds_nothing_and_names_the_same_place,
    an_older_batch_again_names_where_it_may_still_be,
    other_content_under_a_used_number_is_a_conflict,
    a_number_too_far_ahead_is_a_gap,
    a_stream_that_knows_nothing_of_a_job_starts_at_its_floor,
    a_batch_that_would_pass_the_mark_is_refused_whole,
    a_payload_that_is_no_list_of_pairs_writes_nothing,
    two_jobs_append_at_once_and_neither_loses_an_entry,
    a_whole_stream_is_left_as_it_is,
    after_a_loss_there_is_a_new_epoch_and_no_watermark,
    a_stream_that_is_not_there_asks_to_be_healed,
    a_receipt_is_unfinished_until_its_last_entry_is_acknowledged,
    a_forgotten_job_has_no_watermark,
    two_topics_do_not_see_each_other,
}

async fn depth(world: &World) -> Depth {
    world.broker.depth(&world.topic, HOUR).await.expect("depth")
}

async fn a_batch_arrives_whole_in_order_and_as_it_was_written(world: World) {
    let batch = Batch::new(job(), 1, 20).with_control(2);
    let AppendOutcome::Sent(receipt) = world.send(&batch).await else { panic!("not sent") };
    let tasks = receipt.tasks.expect("a span of tasks");
    let control = receipt.control.expect("a span of control messages");
    for (lane, span, sent) in
        [(Lane::Tasks, tasks, &batch.tasks), (Lane::Control, control, &batch.control)]
    {
        let found = world.broker.peek(&world.topic, lane, EntryId::ZERO, 100).await.expect("peeks");
        assert_eq!(found.first().map(|entry| entry.id), Some(span.first));
        assert_eq!(found.last().map(|entry| entry.id), Some(span.last));
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

async fn the_same_call_again_adds_nothing_and_names_the_same_place(world: World) {
    let batch = Batch::new(job(), 1, 5).with_control(1);
    let AppendOutcome::Sent(receipt) = world.send(&batch).await else { panic!("not sent") };
    assert_eq!(world.send(&batch).await, AppendOutcome::Duplicate(receipt.clone()));
    // As a process that never saw the reply sends it.
    let again = batch.send_by(&world.elsewhere(), &world.topic).await;
    assert_eq!(again.expect("appends"), AppendOutcome::Duplicate(receipt));
    assert_eq!((depth(&world).await.tasks, depth(&world).await.control), (5, 1));
}

async fn an_older_batch_again_names_where_it_may_still_be(world: World) {
    let job = job();
    let AppendOutcome::Sent(first) = world.send(&Batch::new(job, 1, 5).with_control(1)).await
    else {
        panic!("not sent")
    };
    let AppendOutcome::Sent(second) = world.send(&Batch::new(job, 2, 5)).await else {
        panic!("not sent")
    };
    let AppendOutcome::Duplicate(again) = world.send(&Batch::new(job, 1, 5).with_control(1)).await
    else {
        panic!("not a duplicate")
    };
    let covers = |wide: Option<isobar_broker::EntryRange>, last| {
        let wide = wide.expect("a span");
        assert!(wide.first <= EntryId { ms: 1, seq: 0 } && wide.last >= last);
    };
    covers(again.tasks, second.tasks.expect("tasks").last);
    covers(again.control, first.control.expect("control").last);
    assert_eq!(depth(&world).await.tasks, 10);
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
    assert!(matches!(world.send(&Batch::new(job, 2, 3)).await, AppendOutcome::Sent(_)));
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
    assert!(matches!(world.send(&floor).await, AppendOutcome::Sent(_)));
    let next = Batch::new(job, 5, 2).with_floor(4);
    assert!(matches!(world.send(&next).await, AppendOutcome::Sent(_)));
}

async fn a_batch_that_would_pass_the_mark_is_refused_whole(world: World) {
    let job = job();
    let first = Batch::new(job, 1, 6).with_high_water(10);
    assert!(matches!(world.send(&first).await, AppendOutcome::Sent(_)));
    let second = Batch::new(job, 2, 5).with_control(1).with_high_water(10);
    assert_eq!(world.send(&second).await, AppendOutcome::Full { unfinished: 6 });
    assert_eq!((depth(&world).await.tasks, depth(&world).await.control), (6, 0));
    // A seal alone passes a full lane of tasks: it needs none of it.
    let seal = Batch::new(super::job(), 1, 0).with_control(1).with_high_water(6);
    assert!(matches!(world.send(&seal).await, AppendOutcome::Sent(_)));
    let done: Vec<EntryId> = world.read("w", 3).await.iter().map(|entry| entry.id).collect();
    assert!(!done.is_empty());
    world.broker.ack(&world.topic, Lane::Tasks, &done).await.expect("acks");
    let fits = Batch::new(job, 2, 1).with_high_water(10);
    assert!(matches!(world.send(&fits).await, AppendOutcome::Sent(_)));
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
            assert!(matches!(sent, Ok(AppendOutcome::Sent(_))), "{sent:?}");
        }
    };
    let other = async {
        let job = job();
        for seq in 1..=20 {
            let sent = Batch::new(job, seq, 5).send_by(&elsewhere, &world.topic).await;
            assert!(matches!(sent, Ok(AppendOutcome::Sent(_))), "{sent:?}");
        }
    };
    tokio::join!(one, other);
    assert_eq!(depth(&world).await.tasks, 20 * 12);
}

async fn a_whole_stream_is_left_as_it_is(world: World) {
    let job = job();
    world.send(&Batch::new(job, 1, 3)).await;
    let before = world.broker.watermarks(&world.topic, &[job]).await;
    let healed = world.broker.heal(&world.topic).await.expect("heals");
    assert!(!healed.recreated);
    let before = before.expect("watermarks");
    assert_eq!(before.epoch, Some(healed.epoch));
    assert_eq!(before.last_seq.get(&job), Some(&1));
    let after = world.broker.watermarks(&world.topic, &[job]).await;
    assert_eq!(after.expect("watermarks"), before);
}

async fn after_a_loss_there_is_a_new_epoch_and_no_watermark(mut world: World) {
    let job = job();
    let first = Batch::new(job, 1, 3);
    let AppendOutcome::Sent(receipt) = world.send(&first).await else { panic!("not sent") };
    world.lose_everything().await;
    let lost = world.broker.watermarks(&world.topic, &[job]).await;
    assert_eq!(lost.expect("watermarks").epoch, None);
    assert!(matches!(first.try_send(&world).await, Err(BrokerError::Missing { .. })));
    let healed = world.broker.heal(&world.topic).await.expect("heals");
    assert!(healed.recreated);
    assert_ne!(healed.epoch, receipt.epoch);
    let again = world.broker.heal(&world.topic).await.expect("heals");
    assert_eq!((again.recreated, again.epoch), (false, healed.epoch.clone()));
    let marks = world.broker.watermarks(&world.topic, &[job]).await;
    let marks = marks.expect("watermarks");
    assert_eq!((marks.epoch, marks.last_seq.len()), (Some(healed.epoch), 0));
    assert!(matches!(world.send(&first).await, AppendOutcome::Sent(_)));
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

async fn a_receipt_is_unfinished_until_its_last_entry_is_acknowledged(world: World) {
    let receipt = world.add_tasks(3).await;
    let other = world.add_tasks(1).await;
    let unfinished = async |receipts: &[_]| {
        let answer = world.broker.has_unfinished(&world.topic, receipts).await;
        answer.expect("an answer")
    };
    let both = [receipt, other];
    assert_eq!(unfinished(&both).await, [true, true]);
    let ids: Vec<EntryId> = world.read("w", 10).await.iter().map(|entry| entry.id).collect();
    for (done, expected) in [(0..2, [true, true]), (2..3, [false, true]), (3..4, [false; 2])] {
        let done = &ids[done];
        let ended = world.broker.ack(&world.topic, Lane::Tasks, done).await;
        assert_eq!(ended.expect("acks"), done.len() as u64);
        assert_eq!(unfinished(&both).await, expected);
    }
    assert!(unfinished(&[]).await.is_empty());
}

async fn a_forgotten_job_has_no_watermark(world: World) {
    let (one, other) = (job(), job());
    for job in [one, other] {
        world.send(&Batch::new(job, 1, 1)).await;
    }
    world.broker.drop_watermark(&world.topic, one).await.expect("forgets");
    world.broker.drop_watermark(&world.topic, one).await.expect("forgets");
    let marks = world.broker.watermarks(&world.topic, &[one, other]).await;
    let marks = marks.expect("watermarks").last_seq;
    assert_eq!((marks.get(&one), marks.get(&other)), (None, Some(&1)));
}

async fn two_topics_do_not_see_each_other(world: World) {
    let other = Topic::new("user-enrichment-stream", "enrichment-workers");
    world.broker.heal(&other).await.expect("heals");
    world.add_tasks(2).await;
    let read = world.broker.read(&other, "w", 10, super::NOW).await;
    assert_eq!(read.expect("reads"), []);
    assert_eq!(world.read("w", 10).await.len(), 2);
}
