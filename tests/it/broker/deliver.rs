//! Delivering: each entry to one reader, none unseen, the due ones to whoever claims them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use isobar_broker::{ClaimLimits, Entry, EntryId, Lane, ScanCursor};

use super::{Batch, HOUR, NOW, World, job, ordinary, over_both};
use crate::harness::wait::{PATIENCE, until};

over_both! {
    each_entry_goes_to_one_reader_as_its_first_delivery,
    a_read_brings_no_more_than_was_asked_for,
    tasks_do_not_starve_control_messages_nor_these_the_tasks,
    a_reader_that_waits_for_long_gets_what_arrives_late,
    a_reader_of_another_process_gets_what_arrives_late,
    a_reader_of_one_gets_one_when_both_lanes_fill_at_once,
    a_read_in_vain_ends_in_time,
    what_a_lost_reply_had_delivered_is_found_again,
    only_silent_entries_are_claimed,
    a_busy_head_does_not_starve_the_tail,
    suspects_are_taken_only_as_many_as_may_run_alone,
    finished_entries_are_never_claimed,
    looking_changes_nothing,
}

fn ids(entries: &[Entry]) -> BTreeSet<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn each_entry_goes_to_one_reader_as_its_first_delivery(world: World) {
    world.add_tasks(10).await;
    let one = world.read("one", 4).await;
    let other = world.read("other", 100).await;
    assert_eq!(one.len() + other.len(), 10);
    assert!(ids(&one).is_disjoint(&ids(&other)));
    assert!(one.iter().chain(&other).all(|entry| {
        entry.lane == Lane::Tasks && entry.deliveries == 1 && entry.attempts == 0
    }));
    assert!(one.is_sorted_by_key(|entry| entry.id));
    assert_eq!(world.read("third", 100).await, []);
}

async fn a_read_brings_no_more_than_was_asked_for(world: World) {
    world.send(&Batch::new(job(), 1, 60).with_control(60)).await;
    let mut left = 120;
    for count in [1, 2, 3, 5, 8, 16, 17, 40] {
        let read = world.read("w", count).await;
        assert!(read.len() <= count, "{} of {count}", read.len());
        assert!(!read.is_empty());
        left -= read.len();
    }
    let mut rounds = 0;
    while left > 0 {
        left -= world.read("w", 50).await.len();
        rounds += 1;
        assert!(rounds < 50, "{left} entries do not come");
    }
}

async fn tasks_do_not_starve_control_messages_nor_these_the_tasks(world: World) {
    world.send(&Batch::new(job(), 1, 50).with_control(50)).await;
    let read = world.read("w", 16).await;
    let lanes: BTreeSet<bool> = read.iter().map(|entry| entry.lane == Lane::Tasks).collect();
    assert_eq!(lanes.len(), 2, "{read:?}");
    let tasks = read.iter().filter(|entry| entry.lane == Lane::Tasks);
    assert!(tasks.count() > 8);
}

/// Clients that give up on a blocking read after 500 ms leave the entry unseen.
const LONG: Duration = Duration::from_millis(700);

async fn late(started: Instant) {
    until(PATIENCE, "it is late", async || started.elapsed() > LONG).await;
}

async fn a_reader_that_waits_for_long_gets_what_arrives_late(world: World) {
    let started = Instant::now();
    let (read, _) = tokio::join!(world.broker.read(&world.topic, "w", 10, PATIENCE), async {
        late(started).await;
        world.add_tasks(1).await
    });
    assert_eq!(read.expect("reads").len(), 1);
    assert!(started.elapsed() > LONG);
}

async fn a_reader_of_another_process_gets_what_arrives_late(world: World) {
    let (started, elsewhere) = (Instant::now(), world.elsewhere());
    let (read, _) = tokio::join!(elsewhere.read(&world.topic, "w", 10, PATIENCE), async {
        late(started).await;
        world.send(&Batch::new(job(), 1, 0).with_control(1)).await
    });
    let read = read.expect("reads");
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].lane, Lane::Control);
}

async fn a_reader_of_one_gets_one_when_both_lanes_fill_at_once(world: World) {
    let started = Instant::now();
    let (read, _) = tokio::join!(world.broker.read(&world.topic, "w", 1, PATIENCE), async {
        late(started).await;
        world.send(&Batch::new(job(), 1, 1).with_control(1)).await
    });
    assert_eq!(read.expect("reads").len(), 1);
    // The other one is new, or due at once.
    let mut position = ScanCursor::default();
    let mut other = world.read("w", 1).await;
    for lane in Lane::BOTH {
        let broker = &world.broker;
        let claimed = broker.claim(&world.topic, "w", lane, &mut position, ordinary(HOUR)).await;
        other.extend(claimed.expect("claims"));
    }
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].deliveries, 1);
}

async fn a_read_in_vain_ends_in_time(world: World) {
    let started = Instant::now();
    let wait = Duration::from_millis(50);
    let read = world.broker.read(&world.topic, "w", 10, wait).await;
    assert_eq!(read.expect("reads"), []);
    assert!(started.elapsed() >= wait);
    assert!(started.elapsed() < PATIENCE / 2);
}

async fn what_a_lost_reply_had_delivered_is_found_again(world: World) {
    world.send(&Batch::new(job(), 1, 7).with_control(2)).await;
    // The reply to this one is lost, as far as the reader knows.
    let lost = world.read("w", 100).await;
    let mut found = Vec::new();
    for lane in Lane::BOTH {
        let mut after = EntryId::ZERO;
        loop {
            let page = world.broker.entries_of(&world.topic, "w", lane, after, 3).await;
            let page = page.expect("owned");
            let Some(last) = page.last() else { break };
            after = last.id;
            found.extend(page);
        }
    }
    let key = |entry: &Entry| (entry.lane == Lane::Control, entry.id);
    let mut lost = lost;
    lost.sort_by_key(key);
    found.sort_by_key(key);
    assert_eq!(found, lost);
    let other = world.broker.entries_of(&world.topic, "other", Lane::Tasks, EntryId::ZERO, 9).await;
    assert_eq!(other.expect("owned"), []);
}

async fn only_silent_entries_are_claimed(world: World) {
    world.add_tasks(3).await;
    let read = world.read("dead", 10).await;
    assert_eq!(world.claim("alive", HOUR).await, []);
    let claimed = world.claim("alive", NOW).await;
    assert_eq!(ids(&claimed), ids(&read));
    assert!(claimed.iter().all(|entry| entry.deliveries == 2));
    assert_eq!(claimed[0].fields, read[0].fields);
    assert_eq!(world.claim("third", HOUR).await, []);
    // They have a new owner.
    let lost = world.broker.renew(&world.topic, "dead", Lane::Tasks, &[claimed[0].id]).await;
    assert_eq!(lost.expect("renews"), [claimed[0].id]);
}

async fn a_busy_head_does_not_starve_the_tail(world: World) {
    // More than one look's worth of entries that are kept busy, and one at the end that is not.
    for _ in 0..3 {
        world.add_tasks(500).await;
    }
    let mut busy = Vec::new();
    while busy.len() < 1_499 {
        busy.extend(world.read("busy", 1_499 - busy.len()).await);
    }
    let tail = world.read("dead", 10).await;
    assert_eq!(tail.len(), 1);
    // Longer than it takes a starved process to renew and to claim.
    let limits = ordinary(Duration::from_secs(3));
    let busy: Vec<EntryId> = busy.iter().map(|entry| entry.id).collect();
    let mut position = ScanCursor::default();
    let mut claimed = Vec::new();
    until(PATIENCE, "the tail is claimed", async || {
        let broker = &world.broker;
        let renewed = broker.renew(&world.topic, "busy", Lane::Tasks, &busy).await;
        assert_eq!(renewed.expect("renews"), []);
        let page = broker.claim(&world.topic, "alive", Lane::Tasks, &mut position, limits).await;
        claimed.extend(page.expect("claims"));
        !claimed.is_empty()
    })
    .await;
    assert_eq!(ids(&claimed), ids(&tail));
}

async fn suspects_are_taken_only_as_many_as_may_run_alone(world: World) {
    world.add_tasks(6).await;
    world.read("w", 10).await;
    // The second delivery is still an ordinary one.
    assert_eq!(world.claim("w", NOW).await.len(), 6);
    let limits =
        |count, suspects| ClaimLimits { claim_idle: NOW, count, suspects, suspect_from: 3 };
    assert_eq!(world.claim_within("w", limits(100, 0)).await, []);
    let alone = world.claim_within("w", limits(100, 1)).await;
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].deliveries, 3);
    // Beside suspects without room, ordinary ones are found.
    world.add_tasks(2).await;
    assert_eq!(world.read("v", 10).await.len(), 2);
    let ordinary = world.claim_within("w", limits(100, 0)).await;
    assert_eq!(ordinary.len(), 2);
    assert!(ordinary.iter().all(|entry| entry.deliveries == 2));
}

async fn finished_entries_are_never_claimed(world: World) {
    world.add_tasks(3).await;
    let read = world.read("w", 10).await;
    let ended = world.broker.ack(&world.topic, Lane::Tasks, &[read[0].id, read[2].id]).await;
    assert_eq!(ended.expect("acks"), 2);
    let claimed = world.claim("other", NOW).await;
    assert_eq!(ids(&claimed), ids(&read[1..2]));
    assert_eq!(world.read("other", 10).await, []);
}

async fn looking_changes_nothing(world: World) {
    world.add_tasks(5).await;
    world.read("w", 2).await;
    for _ in 0..2 {
        let mut seen = Vec::new();
        let mut after = EntryId::ZERO;
        loop {
            let page = world.broker.peek(&world.topic, Lane::Tasks, after, 2).await;
            let page = page.expect("peeks");
            let Some(last) = page.last() else { break };
            after = last.id;
            seen.extend(page);
        }
        assert_eq!(ids(&seen).len(), 5);
    }
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert_eq!((depth.tasks, depth.undelivered, depth.pending), (5, 3, 2));
}
