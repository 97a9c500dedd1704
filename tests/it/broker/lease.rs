//! Owning: renewing, giving back, finishing, and what becomes of owners that are gone (I3, I7).

use std::time::{Duration, Instant};

use isobar_broker::{Budget, EntryId, GiveBack, Lane, RemoveOutcome};

use super::{Batch, HOUR, NOW, Place, World, job, over_both};
use crate::harness::wait::{PATIENCE, until};

over_both! {
    an_acknowledged_entry_leaves_the_stream_whoever_owns_it,
    a_renewed_lease_starts_anew_and_is_no_delivery,
    only_the_owner_renews,
    an_entry_given_back_falls_due_after_its_delay,
    the_longest_delay_is_the_claim_idle,
    giving_back_takes_the_delivery_back_and_counts_only_attempts,
    crashes_are_counted_apart_from_attempts,
    only_the_owner_gives_back,
    an_acknowledged_entry_takes_its_attempts_with_it,
    a_name_that_owns_entries_or_was_active_stays,
    consumers_are_those_who_read,
    the_depth_adds_up,
}

fn back(id: EntryId, delay: Duration, attempt: bool) -> GiveBack {
    GiveBack { id, delay, counted: attempt.then_some(Budget::Attempt) }
}

impl World {
    async fn give_back(&self, consumer: &str, entries: &[GiveBack]) -> Vec<EntryId> {
        self.broker
            .give_back(&self.topic, consumer, Lane::Tasks, entries, HOUR)
            .await
            .expect("gives back")
    }

    pub async fn ack(&self, ids: &[EntryId]) -> u64 {
        let ended = self.broker.ack(&self.topic, Lane::Tasks, ids).await;
        ended.expect("acks")
    }

    /// Redis has no key left that counts.
    async fn is_without_counts(&self) {
        if let Place::Redis(redis) = &self.place {
            let keys: Vec<String> = redis.cli(&["KEYS", "*attempts*"]).await;
            assert_eq!(keys, Vec::<String>::new());
        }
    }

    async fn renew(&self, consumer: &str, ids: &[EntryId]) -> Vec<EntryId> {
        self.broker.renew(&self.topic, consumer, Lane::Tasks, ids).await.expect("renews")
    }
}

async fn an_acknowledged_entry_leaves_the_stream_whoever_owns_it(world: World) {
    world.add_tasks(2).await;
    let read = world.read("slow", 10).await;
    world.claim("thief", NOW).await;
    assert_eq!(world.ack(&[read[0].id]).await, 1);
    assert_eq!(world.ack(&[read[0].id]).await, 0);
    assert_eq!(world.ack(&[]).await, 0);
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert_eq!((depth.tasks, depth.pending), (1, 1));
    assert_eq!(world.renew("thief", &[read[0].id]).await, [read[0].id]);
}

async fn a_renewed_lease_starts_anew_and_is_no_delivery(world: World) {
    world.add_tasks(1).await;
    let read = world.read("w", 10).await;
    until(PATIENCE, "the owner was silent for a moment", async || {
        world.due_in_ms().await + 100 < 3_600_000
    })
    .await;
    let began = Instant::now();
    assert_eq!(world.renew("w", &[read[0].id]).await, []);
    let left = world.due_in_ms().await;
    // No older than the call; the server counts whole milliseconds.
    assert!(u128::from(left) + began.elapsed().as_millis() + 2 >= 3_600_000, "{left} ms");
    let claimed = world.claim("other", NOW).await;
    assert_eq!(claimed[0].deliveries, 2);
}

async fn only_the_owner_renews(world: World) {
    world.add_tasks(3).await;
    let mine = world.read("w", 1).await[0].id;
    let theirs = world.read("other", 1).await[0].id;
    let nobodys = EntryId { ms: theirs.ms + 1_000_000, seq: 7 };
    assert_eq!(world.renew("w", &[mine, theirs, nobodys]).await, [theirs, nobodys]);
    assert_eq!(world.renew("w", &[]).await, []);
}

async fn an_entry_given_back_falls_due_after_its_delay(world: World) {
    world.add_tasks(2).await;
    let read = world.read("w", 10).await;
    let delay = Duration::from_mins(10);
    let gave = [back(read[0].id, delay, false), back(read[1].id, NOW, false)];
    assert_eq!(world.give_back("w", &gave).await, []);
    assert_eq!(world.due_in_ms().await, 0);
    let claimed = world.claim("other", HOUR).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].id, read[1].id);
    assert_eq!(world.ack(&[read[1].id]).await, 1);
    let due_in_ms = world.due_in_ms().await;
    assert!((590_000..=600_000).contains(&due_in_ms), "{due_in_ms}");
}

async fn the_longest_delay_is_the_claim_idle(world: World) {
    world.add_tasks(1).await;
    let read = world.read("w", 10).await;
    world.give_back("w", &[back(read[0].id, HOUR * 5, false)]).await;
    let due_in_ms = world.due_in_ms().await;
    assert!((3_590_000..=3_600_000).contains(&due_in_ms), "{due_in_ms}");
}

async fn giving_back_takes_the_delivery_back_and_counts_only_attempts(world: World) {
    world.add_tasks(1).await;
    let id = world.read("w", 10).await[0].id;
    for (attempt, attempts) in [(false, 0), (true, 1), (false, 1), (true, 2)] {
        assert_eq!(world.give_back("w", &[back(id, NOW, attempt)]).await, []);
        let claimed = world.claim("w", HOUR).await;
        let counts = (claimed[0].deliveries, claimed[0].attempts);
        assert_eq!(counts, (1, attempts));
    }
    let owned = world.broker.entries_of(&world.topic, "w", Lane::Tasks, EntryId::ZERO, 9).await;
    let owned = owned.expect("owned");
    assert_eq!((owned[0].deliveries, owned[0].attempts), (1, 2));
}

async fn crashes_are_counted_apart_from_attempts(world: World) {
    world.add_tasks(2).await;
    let read = world.read("w", 10).await;
    let id = read[0].id;
    for (counted, counts) in [
        (Some(Budget::Crash), (1, 0, 1)),
        (None, (1, 0, 1)),
        (Some(Budget::Attempt), (1, 1, 1)),
        (Some(Budget::Crash), (1, 1, 2)),
    ] {
        assert_eq!(world.give_back("w", &[GiveBack { id, delay: NOW, counted }]).await, []);
        let claimed = world.claim("w", HOUR).await;
        assert_eq!((claimed[0].deliveries, claimed[0].attempts, claimed[0].crashes), counts);
    }
    let owned = world.broker.entries_of(&world.topic, "w", Lane::Tasks, id.before(), 1).await;
    let owned = owned.expect("owned");
    assert_eq!((owned[0].id, owned[0].attempts, owned[0].crashes), (id, 1, 2));
    // Only the owner counts.
    let crash = GiveBack { id, delay: NOW, counted: Some(Budget::Crash) };
    assert_eq!(world.give_back("thief", &[crash]).await, [id]);
    // The other entry has nothing, and an acknowledgement forgets what was counted.
    let other = world.broker.entries_of(&world.topic, "w", Lane::Tasks, id, 1).await;
    let other = other.expect("owned");
    assert_eq!((other[0].id, other[0].attempts, other[0].crashes), (read[1].id, 0, 0));
    assert_eq!(world.ack(&[id, read[1].id]).await, 2);
    world.is_without_counts().await;
}

async fn only_the_owner_gives_back(world: World) {
    world.add_tasks(1).await;
    let id = world.read("w", 10).await[0].id;
    assert_eq!(world.claim("thief", NOW).await.len(), 1);
    assert_eq!(world.give_back("w", &[back(id, NOW, true)]).await, [id]);
    // The thief's lease is as it was, and no attempt was counted.
    assert_eq!(world.claim("w", HOUR).await, []);
    let owned = world.broker.entries_of(&world.topic, "thief", Lane::Tasks, EntryId::ZERO, 9).await;
    let owned = owned.expect("owned");
    assert_eq!((owned[0].deliveries, owned[0].attempts), (2, 0));
    assert_eq!(world.ack(&[id]).await, 1);
    assert_eq!(world.give_back("thief", &[back(id, NOW, true)]).await, [id]);
    assert_eq!(world.give_back("thief", &[]).await, []);
}

async fn an_acknowledged_entry_takes_its_attempts_with_it(world: World) {
    world.send(&Batch::new(job(), 1, 1).with_control(1)).await;
    let mut read = world.read("w", 10).await;
    read.extend(world.read("w", 10).await);
    assert_eq!(read.len(), 2);
    for entry in &read {
        let gave = [back(entry.id, NOW, true)];
        let broker = &world.broker;
        let lost = broker.give_back(&world.topic, "w", entry.lane, &gave, HOUR).await;
        assert_eq!(lost.expect("gives back"), []);
        let ended = broker.ack(&world.topic, entry.lane, &[entry.id]).await;
        assert_eq!(ended.expect("acks"), 1);
    }
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert!(depth.is_empty());
    assert_eq!((depth.undelivered, depth.pending, depth.next_due_ms), (0, 0, None));
}

async fn a_name_that_owns_entries_or_was_active_stays(world: World) {
    let remove = async |name: &str, idle| {
        let removed = world.broker.remove_consumer(&world.topic, name, idle).await;
        removed.expect("an answer")
    };
    assert_eq!(remove("w", NOW).await, RemoveOutcome::Unknown);
    world.add_tasks(1).await;
    let id = world.read("w", 10).await[0].id;
    assert_eq!(remove("w", NOW).await, RemoveOutcome::Busy);
    assert_eq!(world.ack(&[id]).await, 1);
    assert_eq!(remove("w", HOUR).await, RemoveOutcome::Active);
    assert_eq!(remove("w", NOW).await, RemoveOutcome::Removed);
    assert_eq!(remove("w", NOW).await, RemoveOutcome::Unknown);
    // Its name can be used again.
    world.add_tasks(1).await;
    assert_eq!(world.read("w", 10).await.len(), 1);
}

async fn consumers_are_those_who_read(world: World) {
    world.send(&Batch::new(job(), 1, 4).with_control(1)).await;
    world.read("a", 2).await;
    let b = world.read("b", 100).await;
    let given: Vec<GiveBack> = b
        .iter()
        .filter(|entry| entry.lane == Lane::Tasks)
        .map(|entry| back(entry.id, NOW, false))
        .collect();
    assert!(!given.is_empty());
    world.give_back("b", &given).await;
    let consumers = world.broker.consumers(&world.topic).await.expect("consumers");
    let names: Vec<&str> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let owned: u64 = consumers.iter().map(|consumer| consumer.pending).sum();
    assert_eq!(owned, 5 - given.len() as u64);
    assert!(consumers.iter().all(|consumer| consumer.idle_ms < 30_000));
}

async fn the_depth_adds_up(world: World) {
    world.send(&Batch::new(job(), 1, 10).with_control(3)).await;
    let mut read = Vec::new();
    while read.len() < 5 {
        read.extend(world.read("w", 5 - read.len()).await);
    }
    let tasks: Vec<EntryId> =
        read.iter().filter(|entry| entry.lane == Lane::Tasks).map(|entry| entry.id).collect();
    assert!(tasks.len() >= 2);
    world.give_back("w", &[back(tasks[0], NOW, true)]).await;
    world.ack(&tasks[1..2]).await;
    until(PATIENCE, "the oldest has an age", async || {
        let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
        assert_eq!(depth.tasks + depth.control, 12);
        assert_eq!(depth.undelivered, 8);
        assert_eq!(depth.pending, 4);
        assert_eq!(depth.next_due_ms, Some(0));
        depth.oldest_pending_ms > 0 && depth.oldest_undelivered_ms > 0
    })
    .await;
}
