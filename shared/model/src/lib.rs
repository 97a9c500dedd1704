//! The words of the domain as plain values and pure rules.
//!
//! [`ids`] · [`city`] (cities, names, coordinates) · [`gazetteer`] (the built-in list) · [`task`]
//! (one unit of work, and how it travels) · [`user`] (users, addresses, cards) · [`pipeline`]
//! (which pipelines there are) · [`schedule`] (when ticks are, and which of them is due) ·
//! [`quota`] and [`quota_forecast`] · [`duration`] and [`string_enum`] (how values are written) ·
//! [`human`] (numbers and durations for people).
//!
//! Guarantees: values in, decision out. Does not: touch network, file, clock or metric, or import
//! another crate of ours. ARCHITECTURE.md draws the picture and numbers the invariants I1–I8.

pub mod city;
pub mod duration;
pub mod gazetteer;
pub mod human;
pub mod ids;
pub mod pipeline;
pub mod quota;
pub mod quota_forecast;
pub mod schedule;
mod string_enum;
pub mod task;
pub mod user;
