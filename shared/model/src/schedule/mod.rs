//! Schedules: when ticks are, and which of them should fire now.
//!
//! Guarantees: pure; values in, decision out. A new schedule is a row of
//! [`PIPELINES`](crate::pipeline::PIPELINES).
//! Does not: choose the scheduler that fires a tick (the store's `claim_tick` does, so any number
//! of schedulers may run), wait or act (the producer's `scheduler/` does).
//! Next: `definition.rs`, `expression.rs` (when ticks are), `due.rs` (which tick fires).

mod definition;
mod due;
mod expression;
mod tick;
mod wall_clock;

pub use definition::{Misfire, Overlap, Schedule};
pub use due::{Due, LastTick, TickRange, due};
pub use expression::{Expression, TimeZone};
pub use tick::TickOutcome;
