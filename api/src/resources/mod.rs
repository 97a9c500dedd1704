//! The resources: one file each, or a folder where a resource has several routes.
//!
//! A handler reads its parameters, asks store, broker, upstream or imports, and shapes the answer.
//! Next: `router.rs` (the table of routes).

pub mod air_quality;
pub mod bulk;
pub mod cache;
pub mod cities;
pub mod dead_letters;
pub mod docs;
pub mod health;
pub mod history;
pub mod login;
pub mod metrics;
pub mod operations;
pub mod pause;
pub mod schedules;
pub mod snapshots;
pub mod stats;
pub mod stream;
pub mod sync;
pub mod users;
pub mod weather;
