//! Any sequence of calls, to both brokers and to a model that keeps no time.
//!
//! The model knows of each entry who owns it, whether it is due, its deliveries and attempts; after
//! every step the broker must say the same of every entry, and at the end nothing may be left. Due
//! times are an hour or nothing, so no clock decides. What fails is shrunk and printed as steps.

mod step;

use std::collections::{BTreeSet, HashMap};

use isobar_broker::{
    AppendOutcome, Budget, ClaimLimits, Entry, EntryId, GiveBack, Lane, RemoveOutcome, ScanCursor,
};
use isobar_model::ids::JobId;
use isobar_model::task::Fields;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRunner};
use tokio::sync::Mutex;

use self::step::{Sequence, Step, step};
use super::{Batch, HOUR, NOW, World};

const CASES: u32 = 80;
const STEPS: usize = 60;
/// The third delivery is a suspect's.
const SUSPECT_FROM: u32 = 3;

type Checked = Result<(), TestCaseError>;

/// One unfinished entry.
#[derive(Clone, Debug)]
struct Item {
    lane: Lane,
    id: EntryId,
    fields: Fields,
    /// `None` before its first delivery; `returned` and `parked` are owners, too.
    owner: Option<&'static str>,
    due: bool,
    deliveries: u32,
    attempts: u32,
    crashes: u32,
}

impl Item {
    fn deliver(&mut self, who: &'static str) {
        (self.owner, self.due) = (Some(who), false);
        self.deliveries += 1;
    }

    fn hand_over(&mut self, to: &'static str, due: bool, counted: Option<Budget>) {
        (self.owner, self.due) = (Some(to), due);
        self.deliveries -= 1;
        self.attempts += u32::from(counted == Some(Budget::Attempt));
        self.crashes += u32::from(counted == Some(Budget::Crash));
    }

    fn as_delivered(&self) -> Entry {
        let Self { lane, id, ref fields, deliveries, attempts, crashes, .. } = *self;
        Entry { lane, id, fields: fields.clone(), deliveries, attempts, crashes }
    }
}

#[derive(Default)]
struct Model {
    items: Vec<Item>,
    /// Everything that was ever delivered in this life of the stream.
    handed: Vec<(Lane, EntryId)>,
    jobs: HashMap<usize, Frozen>,
    /// Entries sent, and entries that an acknowledgement ended.
    sent: u64,
    ended: u64,
}

/// A job as its outbox holds it.
struct Frozen {
    id: JobId,
    batches: Vec<Batch>,
    /// How many of them this life of the stream has seen.
    seen: usize,
}

impl Model {
    fn count(&self, lane: Lane) -> u64 {
        self.items.iter().filter(|item| item.lane == lane).count() as u64
    }

    fn parked(&self) -> u64 {
        self.items.iter().filter(|item| item.owner == Some("parked")).count() as u64
    }

    /// Entries of `lane` that were handed out, whoever has them now.
    fn pick(&self, lane: Lane, chosen: &[Index]) -> Vec<EntryId> {
        let of_lane = |(of, id): &(Lane, EntryId)| (*of == lane).then_some(*id);
        let known: Vec<EntryId> = self.handed.iter().filter_map(of_lane).collect();
        let picked = chosen.iter().filter(|_| !known.is_empty()).map(|at| *at.get(&known));
        picked.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn item(&mut self, lane: Lane, id: EntryId) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.lane == lane && item.id == id)
    }

    /// Splits into those that `who` owns and the others.
    fn owned(&mut self, who: &str, lane: Lane, ids: &[EntryId]) -> (Vec<EntryId>, Vec<EntryId>) {
        let mut owns = |id: &EntryId| self.item(lane, *id).is_some_and(|i| i.owner == Some(who));
        ids.iter().partition(|id| owns(id))
    }
}

fn fields(payload: &str) -> Fields {
    let items: Vec<String> = serde_json::from_str(payload).expect("a payload is JSON");
    let pairs = items.chunks(2);
    Fields(pairs.map(|p| (p[0].clone().into_bytes(), p[1].clone().into_bytes())).collect())
}

/// A world and what it should be like.
struct Pair<'a> {
    world: &'a mut World,
    model: Model,
}

impl Pair<'_> {
    async fn take(&mut self, step: &Step) -> Checked {
        match *step {
            Step::Send { job, sequence, tasks, control, high_water } => {
                let sized = Batch::new(super::job(), 1, tasks).with_control(control);
                self.send(job, sequence, sized.with_high_water(high_water)).await
            }
            Step::Read { who, count } => self.read(who, count).await,
            Step::Claim { who, lane, silent, count, suspects } => {
                let claim_idle = if silent { NOW } else { HOUR };
                let suspect_from = SUSPECT_FROM;
                let limits = ClaimLimits { claim_idle, count, suspects, suspect_from };
                self.claim(who, lane, limits).await
            }
            Step::Ack { lane, ref ids } => self.ack(lane, ids).await,
            Step::Renew { who, lane, ref ids } => self.renew(who, lane, ids).await,
            Step::GiveBack { who, lane, ref ids, at_once, counted } => {
                let delay = if at_once { NOW } else { HOUR };
                let ids = self.model.pick(lane, ids);
                let back = |id: &EntryId| GiveBack { id: *id, delay, counted };
                let back: Vec<GiveBack> = ids.iter().map(back).collect();
                let World { broker, topic, .. } = &*self.world;
                let lost = broker.give_back(topic, who, lane, &back, HOUR).await;
                let (mine, others) = self.model.owned(who, lane, &ids);
                prop_assert_eq!(lost.expect("gives back"), others);
                self.hand_over(lane, &mine, ("returned", at_once, counted));
                Ok(())
            }
            Step::Park { who, ref ids } => {
                let ids = self.model.pick(Lane::Tasks, ids);
                let lost = self.world.broker.park(&self.world.topic, who, &ids).await;
                let (mine, others) = self.model.owned(who, Lane::Tasks, &ids);
                prop_assert_eq!(lost.expect("parks"), others);
                self.hand_over(Lane::Tasks, &mine, ("parked", false, None));
                Ok(())
            }
            Step::Remove { who } => {
                let removed = self.world.broker.remove_consumer(&self.world.topic, who, NOW).await;
                let busy = self.model.items.iter().any(|item| item.owner == Some(who));
                prop_assert_eq!(removed.expect("an answer") == RemoveOutcome::Busy, busy);
                Ok(())
            }
            Step::Crash { who } => {
                self.world.broker = self.world.elsewhere();
                self.recover(who).await
            }
            Step::LoseEverything => {
                self.world.lose_everything().await;
                let healed = self.world.broker.heal(&self.world.topic).await.expect("heals");
                prop_assert!(healed.recreated);
                self.model.sent -= self.model.items.len() as u64;
                self.model.items.clear();
                self.model.handed.clear();
                self.model.jobs.values_mut().for_each(|job| job.seen = 0);
                Ok(())
            }
        }
    }

    fn hand_over(&mut self, lane: Lane, ids: &[EntryId], to: (&'static str, bool, Option<Budget>)) {
        for id in ids {
            let item = self.model.item(lane, *id).expect("it is owned");
            item.hand_over(to.0, to.1, to.2);
        }
    }

    async fn send(&mut self, job: usize, sequence: Sequence, new: Batch) -> Checked {
        let fresh = || Frozen { id: super::job(), batches: Vec::new(), seen: 0 };
        let frozen = self.model.jobs.entry(job).or_insert_with(fresh);
        let seen = frozen.seen;
        let numbered = |seq: u64| {
            let numbers = Batch::new(frozen.id, seq, 0);
            let (hash, previous_hash) = (numbers.hash, numbers.previous_hash);
            Batch { job_id: frozen.id, seq, hash, previous_hash, ..new.clone() }
        };
        let batch = match sequence {
            Sequence::Again | Sequence::OtherContent if seen == 0 => return Ok(()),
            Sequence::Earlier if seen < 2 => return Ok(()),
            Sequence::Again => frozen.batches[seen - 1].clone(),
            Sequence::Earlier => frozen.batches[seen - 2].clone(),
            Sequence::OtherContent => Batch { hash: "f".repeat(64), ..numbered(seen as u64) },
            Sequence::Ahead => numbered(seen as u64 + 2),
            // What was frozen before the loss is sent as it was.
            Sequence::Next => {
                if frozen.batches.len() == seen {
                    let next = numbered(seen as u64 + 1);
                    frozen.batches.push(next);
                }
                Batch { high_water: new.high_water, ..frozen.batches[seen].clone() }
            }
        };
        let (tasks, control) = (self.model.count(Lane::Tasks), self.model.count(Lane::Control));
        let answer = batch.send_by(&self.world.broker, &self.world.topic).await.expect("appends");
        match sequence {
            Sequence::Again | Sequence::Earlier => {
                prop_assert!(matches!(answer, AppendOutcome::Duplicate), "{:?}", answer);
            }
            Sequence::OtherContent => prop_assert_eq!(answer, AppendOutcome::Conflict),
            Sequence::Ahead => {
                prop_assert_eq!(answer, AppendOutcome::Gap { expected: seen as u64 + 1 });
            }
            Sequence::Next => {
                let high = batch.high_water;
                let (more_tasks, more_control) =
                    (batch.tasks.len() as u64, batch.control.len() as u64);
                // What is parked does not count, up to as many again.
                let counted = tasks - self.model.parked().min(high);
                if more_tasks > 0 && counted + more_tasks > high {
                    prop_assert_eq!(answer, AppendOutcome::Full { unfinished: tasks });
                } else if more_control > 0 && control + more_control > high {
                    prop_assert_eq!(answer, AppendOutcome::Full { unfinished: control });
                } else {
                    prop_assert!(matches!(answer, AppendOutcome::Sent), "{:?}", answer);
                    self.model.jobs.get_mut(&job).expect("made above").seen += 1;
                    self.learn(Lane::Tasks, &batch.tasks).await?;
                    self.learn(Lane::Control, &batch.control).await?;
                }
            }
        }
        Ok(())
    }

    /// What was appended lies at the end, as it was written.
    async fn learn(&mut self, lane: Lane, payloads: &[String]) -> Checked {
        let entries = self.lying(lane).await;
        let old = self.model.count(lane) as usize;
        let expected: Vec<Fields> = payloads.iter().map(|payload| fields(payload)).collect();
        let found: Vec<Fields> = entries[old..].iter().map(|entry| entry.fields.clone()).collect();
        prop_assert_eq!(&found, &expected);
        self.model.sent += expected.len() as u64;
        for Entry { lane, id, fields, .. } in entries.into_iter().skip(old) {
            let (owner, due) = (None, false);
            self.model.items.push(Item {
                lane,
                id,
                fields,
                owner,
                due,
                deliveries: 0,
                attempts: 0,
                crashes: 0,
            });
        }
        Ok(())
    }

    async fn lying(&self, lane: Lane) -> Vec<Entry> {
        let World { broker, topic, .. } = &*self.world;
        broker.peek(topic, lane, EntryId::ZERO, 10_000).await.expect("peeks")
    }

    async fn read(&mut self, who: &'static str, count: usize) -> Checked {
        let entries = self.world.read(who, count).await;
        prop_assert!(entries.len() <= count);
        let is_new = |item: &&mut Item| item.owner.is_none();
        let new = self.model.items.iter().filter(|item| item.owner.is_none()).count();
        prop_assert_eq!(entries.len(), new.min(count));
        for lane in Lane::BOTH {
            let of_lane: Vec<&Entry> = entries.iter().filter(|entry| entry.lane == lane).collect();
            let next = self.model.items.iter_mut().filter(|item| item.lane == lane).filter(is_new);
            for (entry, item) in of_lane.into_iter().zip(next) {
                item.deliver(who);
                self.model.handed.push((lane, entry.id));
                prop_assert_eq!(entry, &item.as_delivered());
            }
        }
        Ok(())
    }

    async fn claim(&mut self, who: &'static str, lane: Lane, limits: ClaimLimits) -> Checked {
        let World { broker, topic, .. } = &*self.world;
        let claimed = broker.claim(topic, who, lane, &mut ScanCursor::default(), limits).await;
        let claimed = claimed.expect("claims");
        let silent = limits.claim_idle == NOW;
        let due = |item: &&Item| item.lane == lane && item.owner.is_some() && (silent || item.due);
        let suspect = |item: &&Item| item.deliveries + 1 >= SUSPECT_FROM;
        let (suspects, ordinary): (Vec<&Item>, Vec<&Item>) =
            self.model.items.iter().filter(due).partition(suspect);
        let due_ids: BTreeSet<EntryId> =
            suspects.iter().chain(&ordinary).map(|item| item.id).collect();
        prop_assert!(claimed.iter().all(|entry| due_ids.contains(&entry.id)), "{:?}", claimed);
        let taken = claimed.iter().filter(|entry| entry.deliveries >= SUSPECT_FROM).count();
        prop_assert_eq!(claimed.len() - taken, ordinary.len().min(limits.count));
        prop_assert!(taken <= limits.suspects);
        // A scan may end where there is no more room for ordinary ones.
        if limits.count == 0 || ordinary.len() <= limits.count {
            prop_assert_eq!(taken, suspects.len().min(limits.suspects));
        }
        for entry in claimed {
            let item = self.model.item(lane, entry.id).expect("it is due");
            item.deliver(who);
            prop_assert_eq!(&entry, &item.as_delivered());
        }
        Ok(())
    }

    async fn ack(&mut self, lane: Lane, chosen: &[Index]) -> Checked {
        let ids = self.model.pick(lane, chosen);
        let ended = self.world.broker.ack(&self.world.topic, lane, &ids).await.expect("acks");
        let before = self.model.items.len();
        self.model.items.retain(|item| item.lane != lane || !ids.contains(&item.id));
        prop_assert_eq!(ended, (before - self.model.items.len()) as u64);
        self.model.ended += ended;
        Ok(())
    }

    async fn renew(&mut self, who: &'static str, lane: Lane, chosen: &[Index]) -> Checked {
        let ids = self.model.pick(lane, chosen);
        let World { broker, topic, .. } = &*self.world;
        let lost = broker.renew(topic, who, lane, &ids).await.expect("renews");
        prop_assert_eq!(lost, self.model.owned(who, lane, &ids).1);
        Ok(())
    }

    /// Who comes back under the name of a dead one finds what that one held.
    async fn recover(&mut self, who: &'static str) -> Checked {
        for lane in Lane::BOTH {
            let World { broker, topic, .. } = &*self.world;
            let owned = broker.entries_of(topic, who, lane, EntryId::ZERO, 10_000).await;
            let mine = |item: &&Item| item.lane == lane && item.owner == Some(who);
            let mine = self.model.items.iter().filter(mine);
            let expected: Vec<Entry> = mine.map(Item::as_delivered).collect();
            prop_assert_eq!(owned.expect("owned"), expected);
        }
        Ok(())
    }

    /// The broker tells of itself what the model does.
    async fn agrees(&self) -> Checked {
        for lane in Lane::BOTH {
            let found: Vec<EntryId> = self.lying(lane).await.iter().map(|entry| entry.id).collect();
            let items = self.model.items.iter().filter(|item| item.lane == lane);
            prop_assert_eq!(found, items.map(|item| item.id).collect::<Vec<_>>());
        }
        let depth = self.world.broker.depth(&self.world.topic, HOUR).await.expect("depth");
        let pending = self.model.items.iter().filter(|item| item.owner.is_some());
        let due = pending.clone().any(|item| item.due);
        prop_assert_eq!(depth.tasks, self.model.count(Lane::Tasks));
        prop_assert_eq!(depth.control, self.model.count(Lane::Control));
        prop_assert_eq!(depth.pending, pending.count() as u64);
        prop_assert_eq!(depth.undelivered, depth.tasks + depth.control - depth.pending);
        prop_assert_eq!(depth.parked, self.model.parked());
        prop_assert_eq!(depth.next_due_ms.is_some(), depth.pending > 0);
        prop_assert_eq!(depth.next_due_ms == Some(0), due);
        Ok(())
    }

    /// A worker that takes everything over ends everything, once.
    async fn drain(&mut self) -> Checked {
        self.read("a", 10_000).await?;
        for lane in Lane::BOTH {
            let (count, suspects, suspect_from) = (10_000, 10_000, SUSPECT_FROM);
            self.claim("a", lane, ClaimLimits { claim_idle: NOW, count, suspects, suspect_from })
                .await?;
            let all = self.model.items.iter().filter(|item| item.lane == lane);
            let ids: Vec<EntryId> = all.map(|item| item.id).collect();
            let ended = self.world.broker.ack(&self.world.topic, lane, &ids).await.expect("acks");
            prop_assert_eq!(ended, ids.len() as u64);
            self.model.ended += ended;
            self.model.items.retain(|item| item.lane != lane);
        }
        prop_assert_eq!(self.model.ended, self.model.sent);
        self.agrees().await
    }
}

async fn check(world: &Mutex<World>, steps: &[Step]) -> Checked {
    let mut world = world.lock().await;
    world.lose_everything().await;
    world.broker.heal(&world.topic).await.expect("heals");
    let mut pair = Pair { world: &mut world, model: Model::default() };
    for step in steps {
        pair.take(step).await?;
        pair.agrees().await?;
    }
    pair.drain().await
}

fn hold_to_the_model(world: impl Future<Output = World>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = Mutex::new(runtime.block_on(world));
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let steps = vec(step(), 1..STEPS);
    let checked =
        TestRunner::new(config).run(&steps, |steps| runtime.block_on(check(&world, &steps)));
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn whatever_is_asked_of_redis_it_answers_as_the_model() {
    hold_to_the_model(World::redis());
}

#[test]
fn whatever_is_asked_of_a_file_it_answers_as_the_model() {
    hold_to_the_model(World::file());
}
