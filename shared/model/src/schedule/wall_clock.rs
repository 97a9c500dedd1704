//! Cron on the clock on the wall: which instants its times of day are where clocks change.
//!
//! Guarantees: [`WallClock::next`] and [`WallClock::previous`] walk over one set of instants. The
//! rule is that of Vixie cron. If minute or hour begins with `*`, every instant whose local time
//! fits is a tick: through both repeated hours, and past a gap. Otherwise each local time is one
//! tick: a repeated one the first time only, a skipped one at the first instant after the gap.
//! Does not: count several skipped times; they are one tick.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Year};

const SECOND: TimeDelta = TimeDelta::seconds(1);
/// Longer than any gap, the day that Samoa left out included.
const GAP_SEARCH: TimeDelta = TimeDelta::hours(40);

/// A cron expression. It knows local times only; a zone makes instants of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WallClock {
    cron: Box<Cron>,
    is_wildcard: bool,
}

/// A span of local times that the clock shows twice, seen from one instant in it.
struct Repeated {
    start: NaiveDateTime,
    end: NaiveDateTime,
    is_second_pass: bool,
}

impl WallClock {
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let cron = CronParser::builder().year(Year::Disallowed).build().parse(text)?;
        Ok(Self { cron: Box::new(cron), is_wildcard: is_wildcard(text) })
    }

    /// The first tick after `time`, which has whole seconds.
    pub fn next(&self, time: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut after = wall(time, zone);
        if let Some(repeated) = repeated(time, zone) {
            // Each local time before the end has its instant in the first pass.
            let local = self.after(after)?;
            match (self.is_wildcard, repeated.is_second_pass) {
                (false, true) => after = repeated.end - SECOND,
                (true, false) if local >= repeated.end => after = repeated.start - SECOND,
                _ => {}
            }
        }
        loop {
            let local = self.after(after)?;
            match zone.from_local_datetime(&local) {
                MappedLocalTime::Single(tick) => return Some(tick.to_utc()),
                MappedLocalTime::Ambiguous(first, second) => {
                    let is_over = self.is_wildcard && first.to_utc() <= time;
                    return Some(if is_over { second } else { first }.to_utc());
                }
                MappedLocalTime::None => {
                    let tick = after_gap(local, zone);
                    if !self.is_wildcard {
                        return Some(tick);
                    }
                    after = wall(tick, zone) - SECOND;
                }
            }
        }
    }

    /// The last tick at or before `time`, which has whole seconds.
    pub fn previous(&self, time: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut until = wall(time, zone);
        if let Some(repeated) = repeated(time, zone).filter(|repeated| repeated.is_second_pass)
            && (!self.is_wildcard || self.until(until)? < repeated.start)
        {
            until = repeated.end - SECOND;
        }
        loop {
            let local = self.until(until)?;
            match zone.from_local_datetime(&local) {
                MappedLocalTime::Single(tick) => return Some(tick.to_utc()),
                MappedLocalTime::Ambiguous(first, second) => {
                    let has_both = self.is_wildcard && second.to_utc() <= time;
                    return Some(if has_both { second } else { first }.to_utc());
                }
                MappedLocalTime::None => {
                    let tick = after_gap(local, zone);
                    if !self.is_wildcard {
                        return Some(tick);
                    }
                    until = wall(tick - SECOND, zone);
                }
            }
        }
    }

    /// The first local time after `local` that fits.
    fn after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let found = self.cron.find_next_occurrence(&local.and_utc(), false);
        found.ok().map(|found| found.naive_utc())
    }

    /// The last local time at or before `local` that fits.
    fn until(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let found = self.cron.find_previous_occurrence(&local.and_utc(), true);
        found.ok().map(|found| found.naive_utc())
    }
}

/// Whether minute or hour begins with `*`. `@hourly` is `0 * * * *`; the other names have both.
fn is_wildcard(text: &str) -> bool {
    if text.eq_ignore_ascii_case("@hourly") {
        return true;
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let seconds = fields.len().saturating_sub(5);
    fields.iter().skip(seconds).take(2).any(|field| field.starts_with(['*', '?']))
}

fn wall(time: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    time.with_timezone(&zone).naive_local()
}

fn repeated(time: DateTime<Utc>, zone: Tz) -> Option<Repeated> {
    let local = zone.from_local_datetime(&wall(time, zone));
    let MappedLocalTime::Ambiguous(first, second) = local else { return None };
    let (mut before, mut change) = (first.to_utc(), second.to_utc());
    let offset = |time: DateTime<Utc>| zone.offset_from_utc_datetime(&time.naive_utc()).fix();
    let (offset_before, offset_after) = (offset(before), offset(change));
    while change - before > SECOND {
        let middle = before + TimeDelta::seconds((change - before).num_seconds() / 2);
        if offset(middle) == offset_before { before = middle } else { change = middle }
    }
    Some(Repeated {
        start: change.naive_utc() + offset_after,
        end: change.naive_utc() + offset_before,
        is_second_pass: time > first.to_utc(),
    })
}

/// The first instant after the gap that swallows this local time.
fn after_gap(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let near = local.and_utc();
    let (mut before, mut after) = (near - GAP_SEARCH, near + GAP_SEARCH);
    while after - before > SECOND {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if wall(middle, zone) < local { before = middle } else { after = middle }
    }
    after
}

#[cfg(test)]
mod tests {
    use chrono_tz::Africa::Cairo;
    use chrono_tz::America::{New_York, Santiago};
    use chrono_tz::Australia::Lord_Howe;
    use chrono_tz::Europe::Berlin;
    use chrono_tz::Pacific::Apia;

    use super::*;

    /// The ticks after `from`, each as the local clock shows it with its offset. Walking back from
    /// the last one must give the same.
    fn ticks(text: &str, zone: Tz, from: &str, count: usize) -> Vec<String> {
        let clock = WallClock::parse(text).expect(text);
        let first = clock.next(from.parse().expect(from), zone);
        let forth: Vec<_> =
            std::iter::successors(first, |tick| clock.next(*tick, zone)).take(count).collect();
        let back = std::iter::successors(forth.last().copied(), |tick| {
            clock.previous(*tick - SECOND, zone)
        });
        let mut back: Vec<_> = back.take(count).collect();
        back.reverse();
        assert_eq!(back, forth, "{text}");
        let shown = |tick: DateTime<Utc>| {
            let local = tick.with_timezone(&zone).format("%d %H:%M%:z").to_string();
            local.trim_end_matches(":00").to_owned()
        };
        forth.into_iter().map(shown).collect()
    }

    /// The clock change of a table row: when it is asked, what must come.
    fn check(zone: Tz, rows: &[(&str, &str, &[&str])]) {
        for (from, text, expected) in rows {
            assert_eq!(ticks(text, zone, from, expected.len()), *expected, "{text} in {zone}");
        }
    }

    const AUTUMN: &str = "2026-10-24T22:30:00Z";
    const SPRING: &str = "2026-03-28T23:30:00Z";

    #[test]
    fn a_repeated_time_of_day_fires_the_first_time() {
        check(
            Berlin,
            &[
                (AUTUMN, "0 2,3 * * *", &["25 02:00+02", "25 03:00+01", "26 02:00+01"]),
                (AUTUMN, "0,30 2 * * *", &["25 02:00+02", "25 02:30+02", "26 02:00+01"]),
                (AUTUMN, "0-59/30 2-2 * * *", &["25 02:00+02", "25 02:30+02", "26 02:00+01"]),
                (AUTUMN, "15 1-3 * * *", &["25 01:15+02", "25 02:15+02", "25 03:15+01"]),
                (AUTUMN, "0 30 2 * * *", &["25 02:30+02", "26 02:30+01"]),
                ("2026-10-25T00:30:00Z", "15,45 2 * * *", &["25 02:45+02", "26 02:15+01"]),
                // Asked in the second pass.
                ("2026-10-25T01:10:00Z", "15,45 2 * * *", &["26 02:15+01"]),
            ],
        );
        let change = "2026-11-01T04:30:00Z";
        check(
            New_York,
            &[
                (change, "0,30 1 * * *", &["01 01:00-04", "01 01:30-04", "02 01:00-05"]),
                (change, "0 1,2 * * *", &["01 01:00-04", "01 02:00-05", "02 01:00-05"]),
            ],
        );
    }

    #[test]
    fn a_wildcard_fires_through_both_passes() {
        check(
            Berlin,
            &[
                (
                    AUTUMN,
                    "*/30 * * * *",
                    &[
                        "25 01:00+02",
                        "25 01:30+02",
                        "25 02:00+02",
                        "25 02:30+02",
                        "25 02:00+01",
                        "25 02:30+01",
                        "25 03:00+01",
                    ],
                ),
                (
                    AUTUMN,
                    "*/30 2 * * *",
                    &["25 02:00+02", "25 02:30+02", "25 02:00+01", "25 02:30+01", "26 02:00+01"],
                ),
                (
                    AUTUMN,
                    "15 * * * *",
                    &["25 01:15+02", "25 02:15+02", "25 02:15+01", "25 03:15+01"],
                ),
                (AUTUMN, "0 */2 * * *", &["25 02:00+02", "25 02:00+01", "25 04:00+01"]),
                (AUTUMN, "@hourly", &["25 01:00+02", "25 02:00+02", "25 02:00+01", "25 03:00+01"]),
                (AUTUMN, "0 15 * * * *", &["25 01:15+02", "25 02:15+02", "25 02:15+01"]),
            ],
        );
        check(
            New_York,
            &[(
                "2026-11-01T05:15:00Z",
                "*/30 * * * *",
                &["01 01:30-04", "01 01:00-05", "01 01:30-05"],
            )],
        );
    }

    #[test]
    fn a_swallowed_time_of_day_fires_after_the_gap() {
        check(
            Berlin,
            &[
                (
                    SPRING,
                    "15,45 1-3 * * *",
                    &["29 01:15+01", "29 01:45+01", "29 03:00+02", "29 03:15+02", "29 03:45+02"],
                ),
                (SPRING, "0 2-3 * * *", &["29 03:00+02", "30 02:00+02"]),
                (SPRING, "30 2 * * *", &["29 03:00+02", "30 02:30+02"]),
                (SPRING, "0-59/20 2 * * *", &["29 03:00+02", "30 02:00+02", "30 02:20+02"]),
                (SPRING, "30 2 29 3 *", &["29 03:00+02"]),
            ],
        );
        check(
            New_York,
            &[(
                "2026-03-08T05:30:00Z",
                "15,45 2,3 * * *",
                &["08 03:00-04", "08 03:15-04", "08 03:45-04"],
            )],
        );
    }

    #[test]
    fn a_wildcard_passes_the_gap() {
        check(
            Berlin,
            &[
                (
                    SPRING,
                    "*/30 * * * *",
                    &["29 01:00+01", "29 01:30+01", "29 03:00+02", "29 03:30+02"],
                ),
                (SPRING, "*/30 2 * * *", &["30 02:00+02", "30 02:30+02"]),
                (SPRING, "45 * * * *", &["29 00:45+01", "29 01:45+01", "29 03:45+02"]),
                (SPRING, "30 */2 * * *", &["29 04:30+02", "29 06:30+02"]),
            ],
        );
    }

    #[test]
    fn shifts_of_half_an_hour_are_exact() {
        check(
            Lord_Howe,
            &[
                ("2026-10-03T14:00:00Z", "15 2 * * *", &["04 02:30+11", "05 02:15+11"]),
                ("2026-10-03T14:00:00Z", "0,45 2 * * *", &["04 02:30+11", "04 02:45+11"]),
                ("2026-10-03T15:00:00Z", "*/15 * * * *", &["04 01:45+10:30", "04 02:30+11"]),
                ("2026-04-04T14:00:00Z", "45 1 * * *", &["05 01:45+11", "06 01:45+10:30"]),
                (
                    "2026-04-04T14:20:00Z",
                    "*/30 * * * *",
                    &["05 01:30+11", "05 01:30+10:30", "05 02:00+10:30"],
                ),
            ],
        );
    }

    #[test]
    fn a_gap_at_midnight_leaves_no_day_out() {
        check(
            Cairo,
            &[
                ("2026-04-23T12:00:00Z", "0 0 * * *", &["24 01:00+03", "25 00:00+03"]),
                ("2026-04-23T12:00:00Z", "@daily", &["24 01:00+03", "25 00:00+03"]),
                ("2026-04-23T12:00:00Z", "30 0 * * FRI", &["24 01:00+03", "01 00:30+03"]),
                ("2026-10-29T19:00:00Z", "30 23 * * *", &["29 23:30+03", "30 23:30+02"]),
            ],
        );
        check(Santiago, &[("2026-09-05T12:00:00Z", "0 0 * * *", &["06 01:00-03", "07 00:00-03"])]);
        // The 30th of December 2011 does not exist there.
        check(
            Apia,
            &[(
                "2011-12-29T11:30:00Z",
                "0 2 * * *",
                &["29 02:00-10", "31 00:00+14", "31 02:00+14"],
            )],
        );
    }
}
