//! Which tick should fire now, and which ticks will never fire.
//!
//! [`due`] looks back from now to the newest tick with a decision. Ticks that fell due during the
//! run of that one are skipped or queued (`overlap`). Ticks that fell due later and are not the
//! current one were missed; one run makes up for all of them, or none does (`misfire`).
//! Guarantees: one call decides about any length of time at the same cost, because ranges are named
//! by their ends and counted up to a limit. A later call, or one by another host, gives the same
//! decision or a later one. After a clock was set back, no tick is due until it has caught up.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::definition::{Misfire, Overlap, Schedule};

/// A tick is on time for this long: processes start, stores fail over, machines are busy.
const ON_TIME_WINDOW: TimeDelta = TimeDelta::seconds(60);
/// Most ticks that wait for the run before them; above it the oldest are skipped (I8).
const MAX_QUEUED: usize = 10;
/// Ticks of a range are counted up to this number.
const MAX_COUNTED: u32 = 1_000;

/// The newest tick with a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTick {
    pub tick: DateTime<Utc>,
    /// When its run ended, or when it was skipped.
    pub busy_until: DateTime<Utc>,
}

impl LastTick {
    /// For a schedule that has never fired: its ticks count from `time` on.
    pub fn never(time: DateTime<Utc>) -> Self {
        Self { tick: time, busy_until: time }
    }
}

/// What a scheduler does now, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub skipped: Option<TickRange>,
    pub missed: Option<TickRange>,
    pub fire: Option<DateTime<Utc>>,
}

/// Consecutive ticks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRange {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    count: u32,
}

/// Decides about all ticks after `last` up to `now`.
pub fn due(schedule: &Schedule, last: LastTick, now: DateTime<Utc>) -> Due {
    let mut due = Due::default();
    let overlapped = range(schedule, last.tick, last.busy_until.min(now));
    if let Some(all) = overlapped {
        match schedule.overlap {
            Overlap::Skip => due.skipped = Some(all),
            Overlap::Queue => {
                let oldest = back(schedule, all.last, MAX_QUEUED - 1).max(all.first);
                due.skipped = before(schedule, oldest)
                    .and_then(|end| range(schedule, all.first - TimeDelta::seconds(1), end));
                due.fire = Some(oldest);
                return due;
            }
        }
    }
    let Some(rest) = range(schedule, last.tick.max(last.busy_until), now) else { return due };
    let is_current = now - rest.last <= ON_TIME_WINDOW;
    if is_current || schedule.misfire == Misfire::Once {
        due.fire = Some(rest.last);
        due.missed = before(schedule, rest.last)
            .and_then(|end| range(schedule, rest.first - TimeDelta::seconds(1), end));
    } else {
        due.missed = Some(rest);
    }
    due
}

/// The ticks after `after` up to `until`.
fn range(schedule: &Schedule, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<TickRange> {
    let first = schedule.next(after).filter(|first| *first <= until)?;
    let last = schedule.previous(until).filter(|last| *last >= first)?;
    let (mut count, mut at) = (1, first);
    while at < last && count < MAX_COUNTED {
        at = schedule.next(at)?;
        count += 1;
    }
    Some(TickRange { first, last, count })
}

/// The tick before `tick`.
fn before(schedule: &Schedule, tick: DateTime<Utc>) -> Option<DateTime<Utc>> {
    schedule.previous(tick - TimeDelta::seconds(1))
}

/// The tick `count` ticks before `tick`.
fn back(schedule: &Schedule, tick: DateTime<Utc>, count: usize) -> DateTime<Utc> {
    let mut ticks = std::iter::successors(Some(tick), |tick| before(schedule, *tick));
    ticks.nth(count).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

impl fmt::Display for TickRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (first, last) = (time(self.first), time(self.last));
        match self.count {
            1 => write!(f, "the tick of {last}"),
            MAX_COUNTED => write!(f, "{MAX_COUNTED} or more ticks from {first} to {last}"),
            count => write!(f, "{count} ticks from {first} to {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn schedule(expression: &str, misfire: Misfire, overlap: Overlap) -> Schedule {
        Schedule {
            name: "test",
            expression: expression.parse().expect("an expression"),
            timezone: chrono_tz::Tz::UTC,
            misfire,
            overlap,
        }
    }

    fn tens(misfire: Misfire, overlap: Overlap) -> Schedule {
        schedule("@every 10s", misfire, overlap)
    }

    fn s(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_999_200 + seconds, 0).expect("a time")
    }

    fn last(tick: i64, busy_until: i64) -> LastTick {
        LastTick { tick: s(tick), busy_until: s(busy_until) }
    }

    fn ends(range: Option<TickRange>) -> Option<(i64, i64, u32)> {
        let since = |time: DateTime<Utc>| (time - s(0)).num_seconds();
        range.map(|range| (since(range.first), since(range.last), range.count))
    }

    /// Skipped, missed, fired, in seconds.
    type Decided = (Option<(i64, i64, u32)>, Option<(i64, i64, u32)>, Option<i64>);

    fn decided(schedule: &Schedule, last: LastTick, now: DateTime<Utc>) -> Decided {
        let due = due(schedule, last, now);
        let fire = due.fire.map(|tick| (tick - s(0)).num_seconds());
        (ends(due.skipped), ends(due.missed), fire)
    }

    const NOTHING: Decided = (None, None, None);
    const POLICIES: [(Misfire, Overlap); 4] = [
        (Misfire::Once, Overlap::Skip),
        (Misfire::Once, Overlap::Queue),
        (Misfire::Skip, Overlap::Skip),
        (Misfire::Skip, Overlap::Queue),
    ];

    #[test]
    fn a_tick_fires_when_it_is_due() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            assert_eq!(decided(&tens, last(0, 3), s(3)), NOTHING);
            assert_eq!(decided(&tens, last(0, 3), s(9)), NOTHING);
            assert_eq!(decided(&tens, last(0, 3), s(10)), (None, None, Some(10)));
            let moment = s(10) + TimeDelta::milliseconds(999);
            assert_eq!(decided(&tens, last(0, 3), moment), (None, None, Some(10)));
        }
    }

    #[test]
    fn a_new_schedule_has_missed_nothing() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            let beginning = LastTick::never(s(0) + TimeDelta::milliseconds(300));
            assert_eq!(decided(&tens, beginning, s(9)), NOTHING);
            assert_eq!(decided(&tens, beginning, s(11)), (None, None, Some(10)));
        }
    }

    #[test]
    fn one_run_makes_up_for_missed_ticks_or_none_does() {
        for overlap in [Overlap::Skip, Overlap::Queue] {
            let hourly = |misfire| schedule("@every 1h", misfire, overlap);
            let (before, now) = (last(0, 50), s(10_800 + 3_000));
            let once = decided(&hourly(Misfire::Once), before, now);
            assert_eq!(once, (None, Some((3_600, 7_200, 2)), Some(10_800)));
            let skip = decided(&hourly(Misfire::Skip), before, now);
            assert_eq!(skip, (None, Some((3_600, 10_800, 3)), None));
            // In time for the last of them.
            let now = s(10_800 + 60);
            let skip = decided(&hourly(Misfire::Skip), before, now);
            assert_eq!(skip, (None, Some((3_600, 7_200, 2)), Some(10_800)));
            let now = now + TimeDelta::milliseconds(1);
            let skip = decided(&hourly(Misfire::Skip), before, now);
            assert_eq!(skip, (None, Some((3_600, 10_800, 3)), None));
        }
    }

    #[test]
    fn ticks_during_a_run_are_skipped() {
        for misfire in [Misfire::Once, Misfire::Skip] {
            let tens = tens(misfire, Overlap::Skip);
            assert_eq!(decided(&tens, last(0, 35), s(35)), (Some((10, 30, 3)), None, None));
            assert_eq!(decided(&tens, last(0, 35), s(41)), (Some((10, 30, 3)), None, Some(40)));
            assert_eq!(decided(&tens, last(0, 40), s(40)), (Some((10, 40, 4)), None, None));
            // Once that is recorded, nothing more is due.
            assert_eq!(decided(&tens, last(30, 35), s(39)), NOTHING);
        }
    }

    #[test]
    fn queued_ticks_run_one_after_another() {
        for misfire in [Misfire::Once, Misfire::Skip] {
            let tens = tens(misfire, Overlap::Queue);
            assert_eq!(decided(&tens, last(0, 35), s(35)), (None, None, Some(10)));
            assert_eq!(decided(&tens, last(10, 70), s(70)), (None, None, Some(20)));
            assert_eq!(decided(&tens, last(20, 71), s(71)), (None, None, Some(30)));
            // The queue is empty again.
            assert_eq!(decided(&tens, last(70, 75), s(75)), NOTHING);
        }
    }

    #[test]
    fn a_full_queue_skips_its_oldest_ticks() {
        let tens = tens(Misfire::Once, Overlap::Queue);
        assert_eq!(decided(&tens, last(0, 105), s(105)), (None, None, Some(10)));
        assert_eq!(decided(&tens, last(0, 125), s(125)), (Some((10, 20, 2)), None, Some(30)));
        // The skip is recorded and the run has not started: the next call continues there.
        assert_eq!(decided(&tens, last(20, 125), s(131)), (None, None, Some(30)));
    }

    #[test]
    fn a_clock_set_back_finds_nothing_due() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            assert_eq!(decided(&tens, last(600, 603), s(0)), NOTHING);
            assert_eq!(decided(&tens, last(600, 603), s(609)), NOTHING);
        }
    }

    #[test]
    fn a_year_without_a_scheduler_costs_no_more() {
        let began = Instant::now();
        for (misfire, overlap) in POLICIES {
            for text in ["@every 1s", "* * * * * *"] {
                let seconds = schedule(text, misfire, overlap);
                let year = 365 * 86_400;
                let due = due(&seconds, last(0, year / 2), s(year));
                assert!(due.fire.is_some());
                let text = due.skipped.expect("half a year of ticks").to_string();
                assert!(text.starts_with("1000 or more ticks from "), "{text}");
            }
        }
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    #[test]
    fn ranges_are_shown_in_words() {
        let tens = tens(Misfire::Once, Overlap::Skip);
        let shown = |until| range(&tens, s(0), s(until)).expect("ticks").to_string();
        assert_eq!(shown(10), "the tick of 2026-09-21T14:00:10Z");
        assert_eq!(shown(39), "3 ticks from 2026-09-21T14:00:10Z to 2026-09-21T14:00:30Z");
    }

    proptest! {
        /// Every due tick gets exactly one decision; only a queue leaves some for later.
        #[test]
        fn every_due_tick_is_decided_once(
            ran_s in 0_i64..300, away_s in 0_i64..300, which in 0_usize..4, period in 1_i64..40,
        ) {
            let (misfire, overlap) = POLICIES[which];
            let schedule = schedule(&format!("@every {period}s"), misfire, overlap);
            let start = schedule.previous(s(0)).expect("a tick");
            let busy_until = start + TimeDelta::seconds(ran_s);
            let now = busy_until + TimeDelta::seconds(away_s);
            let decision = due(&schedule, LastTick { tick: start, busy_until }, now);
            let mut expected = Vec::new();
            let mut tick = start;
            while let Some(next) = schedule.next(tick).filter(|next| *next <= now) {
                expected.push(next);
                tick = next;
            }
            let mut found = Vec::new();
            for range in [decision.skipped, decision.missed].into_iter().flatten() {
                let inside = expected.iter().filter(|tick| (range.first..=range.last).contains(tick));
                let before = found.len();
                found.extend(inside.copied());
                prop_assert_eq!(found.len() - before, range.count as usize);
            }
            found.extend(decision.fire);
            prop_assert!(found.is_sorted());
            if overlap == Overlap::Queue && ran_s >= period {
                prop_assert_eq!(&found[..], &expected[..found.len()]);
                let waiting = expected.iter().filter(|tick| **tick <= busy_until).count();
                prop_assert_eq!(found.len(), waiting.saturating_sub(MAX_QUEUED) + 1);
            } else {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
