//! Pipelines: what a worker fetches and stores, the one thing that differs between its streams.
//!
//! Reading, leases, budgets, bisection, commits and dead letters are written once and know nothing
//! of the content. One more pipeline is a file here, its rows in the store, and its row in
//! `model/pipeline.rs`.
//!
//! Next: [`definition`] (the trait), [`cities`] (for pipelines over cities), [`weather`], [`users`].

pub mod air_quality;
pub mod cities;
pub mod definition;
mod identity;
mod newest;
#[cfg(test)]
pub mod numbers;
pub mod users;
pub mod weather;

pub use definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
