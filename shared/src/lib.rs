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

#[path = "../broker/src/lib.rs"]
pub mod broker;
#[path = "../settings/src/lib.rs"]
pub mod config;
#[path = "../failpoint/src/lib.rs"]
pub mod crash;
#[path = "../model/src/duration.rs"]
pub mod duration;
#[path = "../telemetry/src/exposition.rs"]
pub mod exposition;
#[path = "../model/src/gazetteer.rs"]
pub mod gazetteer;
#[path = "../model/src/ids.rs"]
pub mod ids;
#[path = "../telemetry/src/metric.rs"]
pub mod metric;
#[path = "../admin/src/actions.rs"]
pub mod operate;
#[path = "../model/src/user/mod.rs"]
pub mod people;
#[path = "../model/src/pipeline.rs"]
pub mod pipelines;
#[path = "../model/src/city.rs"]
pub mod place;
#[path = "../telemetry/src/process.rs"]
pub mod process;
#[path = "../model/src/quota.rs"]
pub mod quota;
#[path = "../model/src/quota_forecast.rs"]
pub mod quota_forecast;
#[path = "../model/src/schedule/mod.rs"]
pub mod schedule;
#[path = "../sqlite/src/lib.rs"]
pub mod sqlite;
#[path = "../store/src/lib.rs"]
pub mod store;
#[path = "../model/src/string_enum.rs"]
mod string_enum;
#[path = "../model/src/task/mod.rs"]
pub mod task;
#[path = "../telemetry/src/lib.rs"]
pub mod telemetry;
#[path = "../upstream/src/lib.rs"]
pub mod upstream;

/// The metrics of this crate.
pub const METRICS: &[&[metric::Metric]] = &[process::METRICS, upstream::METRICS];
