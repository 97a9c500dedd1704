//! What may be asked of a broker: one call with its arguments, and how likely each is.
//!
//! Entries are meant by their place among all that were handed out, so that a shrunk sequence still
//! makes sense. Nothing is known of what the answer should be; that is the model's.

use isobar_broker::{Budget, Lane};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::broker::HIGH_WATER;

/// A mark that a few batches reach.
const LOW: u64 = 6;

#[derive(Clone, Copy, Debug)]
pub enum Sequence {
    Next,
    Again,
    Earlier,
    Ahead,
    OtherContent,
}

#[derive(Clone, Debug)]
pub enum Step {
    Send {
        job: usize,
        sequence: Sequence,
        tasks: usize,
        control: usize,
        high_water: u64,
    },
    Read {
        who: &'static str,
        count: usize,
    },
    Claim {
        who: &'static str,
        lane: Lane,
        silent: bool,
        count: usize,
        suspects: usize,
    },
    Ack {
        lane: Lane,
        ids: Vec<Index>,
    },
    Renew {
        who: &'static str,
        lane: Lane,
        ids: Vec<Index>,
    },
    GiveBack {
        who: &'static str,
        lane: Lane,
        ids: Vec<Index>,
        at_once: bool,
        counted: Option<Budget>,
    },
    Park {
        who: &'static str,
        ids: Vec<Index>,
    },
    Remove {
        who: &'static str,
    },
    /// The process dies and another one takes its name.
    Crash {
        who: &'static str,
    },
    LoseEverything,
}

pub fn step() -> impl Strategy<Value = Step> {
    let who = || select(&["a", "b", "c"][..]);
    let lane = || prop_oneof![4 => Just(Lane::Tasks), 1 => Just(Lane::Control)];
    let ids = || vec(any::<Index>(), 1..6);
    let sequence = prop_oneof![
        8 => Just(Sequence::Next),
        2 => Just(Sequence::Again),
        1 => Just(Sequence::Earlier),
        1 => Just(Sequence::Ahead),
        1 => Just(Sequence::OtherContent),
    ];
    let counted = select(&[None, Some(Budget::Attempt), Some(Budget::Crash)][..]);
    let high_water = prop_oneof![2 => Just(HIGH_WATER), 1 => Just(LOW)];
    prop_oneof![
        12 => (0..3_usize, sequence, 0..7_usize, 0..4_usize, high_water).prop_map(
            |(job, sequence, tasks, control, high_water)| Step::Send {
                job, sequence, tasks, control, high_water
            }
        ),
        12 => (who(), 1..8_usize).prop_map(|(who, count)| Step::Read { who, count }),
        12 => (who(), lane(), any::<bool>(), 0..8_usize, 0..3_usize).prop_map(
            |(who, lane, silent, count, suspects)| Step::Claim { who, lane, silent, count, suspects }
        ),
        8 => (lane(), ids()).prop_map(|(lane, ids)| Step::Ack { lane, ids }),
        6 => (who(), lane(), ids()).prop_map(|(who, lane, ids)| Step::Renew { who, lane, ids }),
        8 => (who(), lane(), ids(), any::<bool>(), counted).prop_map(
            |(who, lane, ids, at_once, counted)| Step::GiveBack { who, lane, ids, at_once, counted }
        ),
        4 => (who(), ids()).prop_map(|(who, ids)| Step::Park { who, ids }),
        2 => who().prop_map(|who| Step::Remove { who }),
        3 => who().prop_map(|who| Step::Crash { who }),
        1 => Just(Step::LoseEverything),
    ]
}
