//! `/cities`: what is known of cities.
//!
//! [`list`] pages them as a city service does, so that one installation can be the source of
//! another. [`show`] tells one city's story: its snapshot, and what became of it job by job.

pub mod list;
pub mod map;
pub mod show;
