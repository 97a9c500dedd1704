//! The integration tests: one binary, one module per feature.
//!
//! Every test runs against real servers and the real `isobar` binary; there are no mocks, no sleeps
//! and no retries. Fixtures are in `harness`. A test is a sentence about what a user may rely on,
//! and cites the invariant (I1 to I8 of ARCHITECTURE.md) that it defends.

mod air_quality;
mod api;
mod backup;
mod broker;
mod cases;
mod chaos;
mod dashboard;
mod deploy;
mod docs;
mod doctor;
mod fuzz;
mod harness;
mod metrics;
mod operate;
mod permissions;
mod pipeline;
mod producer;
mod quota;
mod read_commands;
mod redis_roles;
mod refused;
mod republish;
mod schedule;
mod settings;
mod store;
mod tidy;
mod users;
mod verify;
mod worker;
