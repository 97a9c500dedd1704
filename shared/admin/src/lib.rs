//! What operators see and do, alike for terminal, HTTP and page.
//!
//! Do: [`actions`] (pause, resume, cancel, reset; each in the audit log before it takes effect).
//! See: [`job_view`], [`row_view`], [`dead_letter_view`], [`schedule_view`], [`stats`] (the shapes
//! that commands print and the API answers). What the shapes are computed from: [`job_delays`] (why
//! a job does not move), [`job_rates`] (how fast it does), [`heartbeats`]. [`schemas`] names the
//! enums of other crates for OpenAPI.
//!
//! Does not: speak HTTP or parse a command line.

pub mod actions;
pub mod dead_letter_view;
pub mod heartbeats;
pub mod job_delays;
pub mod job_rates;
pub mod job_view;
pub mod row_view;
pub mod schedule_view;
pub mod schemas;
pub mod stats;
