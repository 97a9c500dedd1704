//! Slots: decides about a job that another outbox publishes, or has published. Pure.
//!
//! Two hosts may fire the same tick. Their lists are compared by the chained hash of the last batch:
//! it covers every task and reject, and not the time at which a host began.

use isobar_broker::{PUBLISHER_LEASE, Publisher};
use isobar_model::human::grouped;

/// The list of this outbox, as far as it is extracted.
#[derive(Clone, Debug)]
pub struct OwnList {
    pub sealed: bool,
    /// Whether this outbox has published part of it: then another one took it over.
    pub was_publisher: bool,
    /// Whether the stream has lost entries of the publisher's batches.
    pub is_damaged: bool,
    pub rows: u64,
    pub last_seq: u64,
    /// The chained hash of the batch that the publisher has published last; `None` if this
    /// list is shorter.
    pub hash_there: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum SlotDecision {
    /// The list must be extracted further before it can be compared.
    Wait,
    /// The publisher is at work; it may have published less than it will.
    AtWork,
    /// This list begins with what the publisher has published, so both can continue it.
    TakeOver,
    /// The publisher has published this very list.
    Same,
    /// It is another list; why nothing of this one is published.
    Superseded(String),
    /// It is another list, and part of this one was published before: an operator must decide.
    Conflict(String),
}

pub fn decide(publisher: &Publisher, own: &OwnList) -> SlotDecision {
    let is_same_so_far = own.hash_there.as_ref() == Some(&publisher.hash);
    let host = publisher.outbox.split_once('@').map_or("another host", |(_, host)| host);
    let own_rows = grouped(own.rows);
    let is_same = is_same_so_far && own.last_seq == publisher.seq;
    let is_silent = publisher.silent >= PUBLISHER_LEASE;
    match publisher.total {
        _ if !own.sealed => SlotDecision::Wait,
        // The relay of the publisher would heal the stream, if it were at work.
        Some(_) if is_same && own.is_damaged && is_silent => SlotDecision::TakeOver,
        Some(_) if is_same => SlotDecision::Same,
        // The stream lost what it knew of this job, and the other outbox began it again.
        Some(_) if own.was_publisher => SlotDecision::Conflict(format!(
            "{host} has published another list for this slot, after the stream had lost what it knew of the list here ({own_rows} rows, part of them published)"
        )),
        Some(rows) => SlotDecision::Superseded(format!(
            "{host} has published this slot with {} rows; the list here has {own_rows} rows, and none of them is published",
            grouped(rows)
        )),
        None if is_same_so_far && !own.was_publisher => SlotDecision::TakeOver,
        None if !is_silent => SlotDecision::AtWork,
        None if is_same_so_far => SlotDecision::TakeOver,
        None if own.was_publisher => SlotDecision::Conflict(format!(
            "{host} has begun another list for this slot, after the stream had lost what it knew of the list here ({own_rows} rows, part of them published)"
        )),
        None => SlotDecision::Superseded(format!(
            "{host} has published part of this slot, and its next run continues it; the list here is another one, with {own_rows} rows, and none of them is published"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lists_are_compared_when_both_are_complete_or_the_publisher_is_gone() {
        let publisher = |total, silent| Publisher {
            outbox: "0b1c@alpha".into(),
            seq: 3,
            hash: "c".into(),
            total,
            silent: Duration::from_secs(silent),
        };
        let own = |sealed, last_seq, hash: Option<&str>| OwnList {
            sealed,
            was_publisher: false,
            is_damaged: false,
            rows: 1_207,
            last_seq,
            hash_there: hash.map(str::to_owned),
        };
        for (publisher, own, expected) in [
            (publisher(Some(1_200), 9), own(false, 3, Some("c")), SlotDecision::Wait),
            (publisher(Some(1_200), 9), own(true, 3, Some("c")), SlotDecision::Same),
            (publisher(None, 9), own(true, 3, Some("c")), SlotDecision::TakeOver),
            (publisher(None, 9), own(true, 3, Some("x")), SlotDecision::AtWork),
            (publisher(None, 121), own(true, 5, Some("c")), SlotDecision::TakeOver),
        ] {
            assert_eq!(decide(&publisher, &own), expected, "{publisher:?} {own:?}");
        }
        let taken_from_us = OwnList { was_publisher: true, ..own(true, 5, Some("c")) };
        assert_eq!(decide(&publisher(None, 9), &taken_from_us), SlotDecision::AtWork);
        assert_eq!(decide(&publisher(None, 121), &taken_from_us), SlotDecision::TakeOver);
        let damaged = OwnList { is_damaged: true, ..own(true, 3, Some("c")) };
        assert_eq!(decide(&publisher(Some(1_200), 9), &damaged), SlotDecision::Same);
        assert_eq!(decide(&publisher(Some(1_200), 121), &damaged), SlotDecision::TakeOver);
        for total in [Some(1_200), None] {
            let other = OwnList { was_publisher: true, ..own(true, 5, Some("x")) };
            let decision = decide(&publisher(total, 121), &other);
            let SlotDecision::Conflict(why) = decision else { panic!("{decision:?}") };
            assert!(why.contains("1,207 rows, part of them published"), "{why}");
        }
        for (publisher, own, says) in [
            (
                publisher(Some(1_200), 9),
                own(true, 4, Some("c")),
                "alpha has published this slot with 1,200 rows; the list here has 1,207",
            ),
            (publisher(Some(1_200), 9), own(true, 3, Some("x")), "none of them is published"),
            (publisher(Some(1_200), 9), own(true, 2, None), "none of them is published"),
            (
                publisher(None, 121),
                own(true, 5, Some("x")),
                "alpha has published part of this slot",
            ),
        ] {
            let SlotDecision::Superseded(why) = decide(&publisher, &own) else { panic!("{own:?}") };
            assert!(why.contains(says), "{why}");
        }
    }
}
