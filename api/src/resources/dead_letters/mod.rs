//! `/dead-letters`: tasks that gave up, with their reasons and payloads.
//!
//! [`list`] and [`groups`] show them, narrowed by a [`filter`]. [`replay`] publishes them again and
//! [`discard`] deletes them. Both take a [`selection`], which refuses unknown and empty filters,
//! because neither can be undone.

pub mod discard;
mod filter;
pub mod groups;
pub mod list;
pub mod replay;
mod selection;
