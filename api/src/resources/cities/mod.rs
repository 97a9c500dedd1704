//! `/cities` and `/map`: stored cities.
//!
//! [`list`] pages them as a city service does, so one installation can be the source of another.
//! [`show`] is one city with its timeline, [`map`] every city as a point.

pub mod list;
pub mod map;
pub mod show;
