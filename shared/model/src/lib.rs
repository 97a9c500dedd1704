//! The domain as plain values and pure rules.
//!
//! Guarantees: values in, decision out.
//! Does not: touch network, files, clock or metrics, or import another crate of this workspace.
//! Next: [`ids`], [`city`], [`gazetteer`] (the built-in list of cities), [`country`], [`user`], [`task`] (a unit
//! of work on the wire), [`pipeline`] (the table of pipelines), [`schedule`], [`freshness`], [`quota`]
//! with [`quota_forecast`], [`duration`], [`human`] and [`string_enum`] (how values are written).
//! ARCHITECTURE.md has the picture and the invariants I1–I8.

pub mod city;
pub mod country;
pub mod duration;
pub mod freshness;
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
