//! A schedule as configured: its name, its expression in a time zone, and its policies.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::expression::Expression;
use crate::string_enum;

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub name: &'static str,
    pub expression: Expression,
    pub timezone: Tz,
    pub misfire: Misfire,
    pub overlap: Overlap,
}

impl Schedule {
    /// The first tick after `time`; `None` where the calendar ends.
    pub fn next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expression.next(time, self.timezone)
    }

    /// The last tick at or before `time`.
    pub fn previous(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.expression.previous(time, self.timezone)
    }

    pub fn is_tick(&self, time: DateTime<Utc>) -> bool {
        self.next(time - TimeDelta::seconds(1)) == Some(time)
    }
}

string_enum! {
    /// What happens to ticks that no scheduler was running to fire.
    Misfire { Once = "once", Skip = "skip" }
}

string_enum! {
    /// What happens to ticks that fall due during the run before them.
    Overlap { Skip = "skip", Queue = "queue" }
}
