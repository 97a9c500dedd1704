//! Which tick is to be fired now, and which ones never will be.
//!
//! [`due`] looks back from now to the newest tick that is known. What fell due while that one's run
//! was still going is *passed over* or waits in a queue (`overlap`); what fell due later and is not
//! the current tick was *missed*, and is made up for by one run or not at all (`misfire`). However
//! long nobody was there, one look decides about all of it and costs the same: spans are named by
//! their ends and counted up to a limit.
//!
//! The same question a moment later, or by another host, gives the same answer or a later one, so it
//! does not matter who asks first or how often. A clock that was set back finds nothing due until
//! it is where it was.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{Misfire, Overlap, Schedule};

/// A tick is on time for so long: processes start, stores fail over, machines are busy.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Ticks that may wait for the run before them; of more, the oldest are passed over (I8).
pub const QUEUE: usize = 10;
/// Ticks of a span are counted up to here.
const COUNTED: u32 = 1_000;

/// The newest tick that is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub tick: DateTime<Utc>,
    /// When its run ended, or was passed over for another's.
    pub busy_until: DateTime<Utc>,
}

impl Known {
    /// A schedule that never fired begins at `time`.
    pub fn beginning(time: DateTime<Utc>) -> Self {
        Self { tick: time, busy_until: time }
    }
}

/// What is to be done now, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub passed_over: Option<Span>,
    pub missed: Option<Span>,
    pub fire: Option<DateTime<Utc>>,
}

/// Ticks that follow each other, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    count: u32,
}

pub fn due(schedule: &Schedule, known: Known, now: DateTime<Utc>) -> Due {
    let mut due = Due::default();
    let overlapped = span(schedule, known.tick, known.busy_until.min(now));
    if let Some(all) = overlapped {
        match schedule.overlap {
            Overlap::Skip => due.passed_over = Some(all),
            Overlap::Queue => {
                let oldest = back(schedule, all.last, QUEUE - 1).max(all.first);
                due.passed_over = before(schedule, oldest)
                    .and_then(|end| span(schedule, all.first - TimeDelta::seconds(1), end));
                due.fire = Some(oldest);
                return due;
            }
        }
    }
    let Some(rest) = span(schedule, known.tick.max(known.busy_until), now) else { return due };
    let is_current = now - rest.last <= ON_TIME;
    if is_current || schedule.misfire == Misfire::Once {
        due.fire = Some(rest.last);
        due.missed = before(schedule, rest.last)
            .and_then(|end| span(schedule, rest.first - TimeDelta::seconds(1), end));
    } else {
        due.missed = Some(rest);
    }
    due
}

/// The ticks after `after` up to `until`.
fn span(schedule: &Schedule, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<Span> {
    let first = schedule.next(after).filter(|first| *first <= until)?;
    let last = schedule.latest(until).filter(|last| *last >= first)?;
    let (mut count, mut at) = (1, first);
    while at < last && count < COUNTED {
        at = schedule.next(at)?;
        count += 1;
    }
    Some(Span { first, last, count })
}

/// The tick before `tick`.
fn before(schedule: &Schedule, tick: DateTime<Utc>) -> Option<DateTime<Utc>> {
    schedule.latest(tick - TimeDelta::seconds(1))
}

/// So many ticks before `tick`.
fn back(schedule: &Schedule, tick: DateTime<Utc>, count: usize) -> DateTime<Utc> {
    let mut ticks = std::iter::successors(Some(tick), |tick| before(schedule, *tick));
    ticks.nth(count).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (first, last) = (time(self.first), time(self.last));
        match self.count {
            1 => write!(f, "the tick of {last}"),
            COUNTED => write!(f, "{COUNTED} or more ticks from {first} to {last}"),
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

    fn known(tick: i64, busy_until: i64) -> Known {
        Known { tick: s(tick), busy_until: s(busy_until) }
    }

    fn ends(span: Option<Span>) -> Option<(i64, i64, u32)> {
        let since = |time: DateTime<Utc>| (time - s(0)).num_seconds();
        span.map(|span| (since(span.first), since(span.last), span.count))
    }

    /// Passed over, missed, fired, in seconds.
    type Decided = (Option<(i64, i64, u32)>, Option<(i64, i64, u32)>, Option<i64>);

    fn decided(schedule: &Schedule, known: Known, now: DateTime<Utc>) -> Decided {
        let due = due(schedule, known, now);
        let fire = due.fire.map(|tick| (tick - s(0)).num_seconds());
        (ends(due.passed_over), ends(due.missed), fire)
    }

    const NOTHING: Decided = (None, None, None);
    const POLICIES: [(Misfire, Overlap); 4] = [
        (Misfire::Once, Overlap::Skip),
        (Misfire::Once, Overlap::Queue),
        (Misfire::Skip, Overlap::Skip),
        (Misfire::Skip, Overlap::Queue),
    ];

    #[test]
    fn a_tick_is_fired_when_it_is_there_and_not_before() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            assert_eq!(decided(&tens, known(0, 3), s(3)), NOTHING);
            assert_eq!(decided(&tens, known(0, 3), s(9)), NOTHING);
            assert_eq!(decided(&tens, known(0, 3), s(10)), (None, None, Some(10)));
            let moment = s(10) + TimeDelta::milliseconds(999);
            assert_eq!(decided(&tens, known(0, 3), moment), (None, None, Some(10)));
        }
    }

    #[test]
    fn a_schedule_that_never_fired_has_missed_nothing() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            let beginning = Known::beginning(s(0) + TimeDelta::milliseconds(300));
            assert_eq!(decided(&tens, beginning, s(9)), NOTHING);
            assert_eq!(decided(&tens, beginning, s(11)), (None, None, Some(10)));
        }
    }

    #[test]
    fn of_what_nobody_fired_the_last_runs_once_or_none_does() {
        for overlap in [Overlap::Skip, Overlap::Queue] {
            let hourly = |misfire| schedule("@every 1h", misfire, overlap);
            let (before, now) = (known(0, 50), s(10_800 + 3_000));
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
    fn what_fell_due_during_a_run_is_passed_over_and_what_comes_after_it_is_not() {
        for misfire in [Misfire::Once, Misfire::Skip] {
            let tens = tens(misfire, Overlap::Skip);
            assert_eq!(decided(&tens, known(0, 35), s(35)), (Some((10, 30, 3)), None, None));
            assert_eq!(decided(&tens, known(0, 35), s(41)), (Some((10, 30, 3)), None, Some(40)));
            assert_eq!(decided(&tens, known(0, 40), s(40)), (Some((10, 40, 4)), None, None));
            // Once that is noted, the same look has nothing more to say.
            assert_eq!(decided(&tens, known(30, 35), s(39)), NOTHING);
        }
    }

    #[test]
    fn what_waits_in_the_queue_runs_one_after_another_in_its_order() {
        for misfire in [Misfire::Once, Misfire::Skip] {
            let tens = tens(misfire, Overlap::Queue);
            assert_eq!(decided(&tens, known(0, 35), s(35)), (None, None, Some(10)));
            assert_eq!(decided(&tens, known(10, 70), s(70)), (None, None, Some(20)));
            assert_eq!(decided(&tens, known(20, 71), s(71)), (None, None, Some(30)));
            // It has caught up.
            assert_eq!(decided(&tens, known(70, 75), s(75)), NOTHING);
        }
    }

    #[test]
    fn a_queue_that_is_too_long_loses_its_oldest() {
        let tens = tens(Misfire::Once, Overlap::Queue);
        assert_eq!(decided(&tens, known(0, 105), s(105)), (None, None, Some(10)));
        let (passed, missed, fire) = decided(&tens, known(0, 125), s(125));
        assert_eq!((passed, missed, fire), (Some((10, 20, 2)), None, Some(30)));
        // The note is written, the run is not begun: the next look goes on there.
        assert_eq!(decided(&tens, known(20, 125), s(131)), (None, None, Some(30)));
    }

    #[test]
    fn a_clock_that_was_set_back_finds_nothing_due() {
        for (misfire, overlap) in POLICIES {
            let tens = tens(misfire, overlap);
            assert_eq!(decided(&tens, known(600, 603), s(0)), NOTHING);
            assert_eq!(decided(&tens, known(600, 603), s(609)), NOTHING);
        }
    }

    #[test]
    fn a_year_of_silence_costs_no_more_than_a_moment() {
        let began = Instant::now();
        for (misfire, overlap) in POLICIES {
            for text in ["@every 1s", "* * * * * *"] {
                let seconds = schedule(text, misfire, overlap);
                let year = 365 * 86_400;
                let due = due(&seconds, known(0, year / 2), s(year));
                assert!(due.fire.is_some());
                let said = due.passed_over.expect("half a year of them").to_string();
                assert!(said.starts_with("1000 or more ticks from "), "{said}");
            }
        }
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    #[test]
    fn spans_are_told_in_words() {
        let tens = tens(Misfire::Once, Overlap::Skip);
        let told = |until| span(&tens, s(0), s(until)).expect("ticks").to_string();
        assert_eq!(told(10), "the tick of 2026-09-21T14:00:10Z");
        assert_eq!(told(39), "3 ticks from 2026-09-21T14:00:10Z to 2026-09-21T14:00:30Z");
    }

    proptest! {
        /// Every tick that is due is in exactly one place; only a queue leaves some for later.
        #[test]
        fn nothing_is_decided_twice_and_nothing_is_forgotten(
            ran_s in 0_i64..300, away_s in 0_i64..300, which in 0_usize..4, period in 1_i64..40,
        ) {
            let (misfire, overlap) = POLICIES[which];
            let schedule = schedule(&format!("@every {period}s"), misfire, overlap);
            let start = schedule.latest(s(0)).expect("a tick");
            let busy_until = start + TimeDelta::seconds(ran_s);
            let now = busy_until + TimeDelta::seconds(away_s);
            let decision = due(&schedule, Known { tick: start, busy_until }, now);
            let mut expected = Vec::new();
            let mut tick = start;
            while let Some(next) = schedule.next(tick).filter(|next| *next <= now) {
                expected.push(next);
                tick = next;
            }
            let mut found = Vec::new();
            for span in [decision.passed_over, decision.missed].into_iter().flatten() {
                let inside = expected.iter().filter(|tick| (span.first..=span.last).contains(tick));
                let before = found.len();
                found.extend(inside.copied());
                prop_assert_eq!(found.len() - before, span.count as usize);
            }
            found.extend(decision.fire);
            prop_assert!(found.is_sorted());
            if overlap == Overlap::Queue && ran_s >= period {
                prop_assert_eq!(&found[..], &expected[..found.len()]);
                let waiting = expected.iter().filter(|tick| **tick <= busy_until).count();
                prop_assert_eq!(found.len(), waiting.saturating_sub(QUEUE) + 1);
            } else {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
