//! What a schedule is: a name, an expression in a time zone, and what to do when a tick is late.
//!
//! Pure, values in and decision out: [`expression`] says when ticks are, [`due`] which of them is to
//! be fired now and which never will be. Who fires a tick is decided by the store
//! (`Store::claim_tick`), so that any number of schedulers may run; waiting and acting are the
//! producer's (`scheduler/`). A further schedule is a row of [`PIPELINES`](crate::pipeline::PIPELINES).

mod due;
mod expression;
mod tick;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

pub use due::{Due, Known, ON_TIME, QUEUE, Span, due};
pub use expression::{Expression, TimeZone};
pub use tick::TickOutcome;

use crate::string_enum;

/// One schedule, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub name: &'static str,
    pub expression: Expression,
    pub timezone: Tz,
    pub misfire: Misfire,
    pub overlap: Overlap,
}

impl Schedule {
    /// The first tick after `time`; none where the calendar ends.
    pub fn next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expression.next(time, self.timezone)
    }

    /// The last tick at or before `time`.
    pub fn latest(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expression.latest(time, self.timezone)
    }

    pub fn is_tick(&self, time: DateTime<Utc>) -> bool {
        self.next(time - TimeDelta::seconds(1)) == Some(time)
    }
}

string_enum! {
    /// What becomes of ticks that nobody was there to fire.
    Misfire { Once = "once", Skip = "skip" }
}

string_enum! {
    /// What becomes of ticks that fall due while the run before them is still going.
    Overlap { Skip = "skip", Queue = "queue" }
}
