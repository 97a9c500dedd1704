//! What operators switch, seen by every process; and the entries of paused jobs, set aside (I6, I7).

use isobar_broker::{AppendOutcome, EntryId, Flag, Flags, Lane, SetBy};

use super::{Batch, HIGH_WATER, HOUR, NOW, World, job, over_both};

over_both! {
    a_switch_is_seen_elsewhere_and_says_who_threw_it_first,
    a_breaker_is_reset_anew_each_time,
    a_switch_can_be_thrown_before_there_is_a_stream,
    a_parked_entry_falls_due_after_the_claim_idle_and_counts_nothing,
    only_the_owner_parks,
    what_is_parked_does_not_keep_others_out_up_to_as_many_again,
    parked_tasks_make_no_room_for_control_messages,
}

async fn seen(world: &World) -> Flags {
    world.elsewhere().flags(&world.topic).await.expect("reads")
}

async fn throw(world: &World, switch: &Flag, by: &str) -> SetBy {
    world.broker.set_flag(&world.topic, switch, &SetBy::now(by)).await.expect("throws")
}

async fn a_switch_is_seen_elsewhere_and_says_who_threw_it_first(world: World) {
    let paused = Flag::JobPaused(job());
    assert!(seen(&world).await.is_empty());
    throw(&world, &Flag::WorkersPaused, "cli ada@one").await;
    throw(&world, &paused, "api 127.0.0.1").await;
    assert_eq!(throw(&world, &Flag::WorkersPaused, "cli bob@two").await.by, "cli ada@one");
    let switches = seen(&world).await;
    assert_eq!(switches.reading().map(|thrown| thrown.by.as_str()), Some("cli ada@one"));
    assert_eq!(switches.get(&paused).map(|thrown| thrown.by.as_str()), Some("api 127.0.0.1"));

    let let_go =
        async |switch| world.broker.clear_flag(&world.topic, switch).await.expect("lets go");
    assert!(let_go(&Flag::WorkersPaused).await);
    assert!(!let_go(&Flag::WorkersPaused).await);
    assert_eq!(seen(&world).await.len(), 1);
}

async fn a_breaker_is_reset_anew_each_time(world: World) {
    let host = Flag::BreakerReset("127.0.0.1:8090".to_owned());
    throw(&world, &host, "one").await;
    let before = seen(&world).await;
    assert_eq!(throw(&world, &host, "two").await.by, "two");
    assert!(seen(&world).await.has_resets_since(&before));
}

async fn a_switch_can_be_thrown_before_there_is_a_stream(mut world: World) {
    world.lose_everything().await;
    throw(&world, &Flag::WorkersPaused, "early").await;
    world.broker.heal(&world.topic).await.expect("heals");
    assert!(seen(&world).await.reading().is_some(), "healing lets go of nothing");
}

async fn park(world: &World, consumer: &str, ids: &[EntryId]) -> Vec<EntryId> {
    world.broker.park(&world.topic, consumer, ids).await.expect("parks")
}

async fn a_parked_entry_falls_due_after_the_claim_idle_and_counts_nothing(world: World) {
    world.add_tasks(2).await;
    let read = world.read("w", 1).await;
    assert_eq!(park(&world, "w", &[read[0].id]).await, []);
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert_eq!((depth.tasks, depth.undelivered, depth.pending, depth.parked), (2, 1, 1, 1));
    assert!(world.due_in_ms().await + 1_000 >= 3_600_000, "a whole claim idle");
    assert_eq!(world.claim("w", HOUR).await, []);
    let claimed = world.claim("w", NOW).await;
    assert_eq!((claimed[0].deliveries, claimed[0].attempts), (1, 0));
    let names = world.broker.consumers(&world.topic).await.expect("consumers");
    assert_eq!(names.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["w"]);
}

async fn only_the_owner_parks(world: World) {
    world.add_tasks(1).await;
    let read = world.read("w", 1).await;
    assert_eq!(park(&world, "thief", &[read[0].id]).await, [read[0].id]);
    let depth = world.broker.depth(&world.topic, HOUR).await.expect("depth");
    assert_eq!(depth.parked, 0);
    assert_eq!(world.broker.ack(&world.topic, Lane::Tasks, &[read[0].id]).await.expect("acks"), 1);
    assert_eq!(park(&world, "w", &[read[0].id]).await, [read[0].id]);
}

async fn what_is_parked_does_not_keep_others_out_up_to_as_many_again(world: World) {
    let most = HIGH_WATER as usize / 2;
    let send = async |slot: u8| {
        let job = isobar_model::ids::JobId::derive("parked", &slot.to_string());
        world.send(&Batch::new(job, 1, most)).await
    };
    let is_sent = |appended: &AppendOutcome| matches!(appended, AppendOutcome::Sent);
    let park_all = async || {
        loop {
            let read = world.read("w", 1_000).await;
            if read.is_empty() {
                return;
            }
            let ids: Vec<EntryId> = read.iter().map(|entry| entry.id).collect();
            park(&world, "w", &ids).await;
        }
    };
    assert!(is_sent(&send(1).await) && is_sent(&send(2).await));
    assert!(!is_sent(&send(3).await), "full");
    park_all().await;
    assert!(is_sent(&send(3).await) && is_sent(&send(4).await), "room for as many again");
    park_all().await;
    assert!(!is_sent(&send(5).await), "and no more than that (I8)");
}

async fn parked_tasks_make_no_room_for_control_messages(world: World) {
    const MARK: u64 = 6;
    world.add_tasks(3).await;
    let read = world.read("w", 10).await;
    park(&world, "w", &read.iter().map(|entry| entry.id).collect::<Vec<_>>()).await;
    let control = |count| Batch::new(job(), 1, 0).with_control(count).with_high_water(MARK);
    assert!(matches!(world.send(&control(4)).await, AppendOutcome::Sent));
    assert_eq!(world.send(&control(3)).await, AppendOutcome::Full { unfinished: 4 });
}
