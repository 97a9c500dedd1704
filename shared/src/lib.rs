//! What two roles or more need, and nothing that only one does.
//!
//! Table of contents, in the order in which a row meets them:
//! [`config`] (every setting, once) · [`ids`] · [`place`] (cities, names, coordinates) ·
//! [`task`] (one city to fetch, and how it travels) · [`people`] (users, addresses, cards) ·
//! [`pipelines`] (the table of them) · [`broker`] (the stream: Redis or embedded) ·
//! [`upstream`] (quota → breaker → timeout → request) · [`store`] (PostgreSQL or SQLite) ·
//! [`operate`] (what operators may switch, each recorded) ·
//! [`schedule`] (when ticks are, and which of them is due) ·
//! [`gazetteer`] (the built-in list) · [`sqlite`] (the one way to a SQLite file) ·
//! [`telemetry`] (logs and counters; [`metric`], [`exposition`] and [`process`] are what a scrape
//! sees) · [`crash`] (where tests kill the process).
//!
//! Roles import this crate and never each other (`api` may use `producer`: an upload is a
//! producer run). ARCHITECTURE.md draws the picture and numbers the invariants I1–I8 cited here.

pub mod broker;
pub mod config;
pub mod crash;
pub mod exposition;
pub mod gazetteer;
pub mod ids;
pub mod metric;
pub mod operate;
pub mod people;
pub mod pipelines;
pub mod place;
pub mod process;
pub mod schedule;
pub mod sqlite;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod upstream;

/// The metrics of this crate.
pub const METRICS: &[&[metric::Metric]] = &[process::METRICS, schedule::METRICS, upstream::METRICS];
