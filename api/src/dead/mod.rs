//! `/dead-letters`: what was given up, with its reason and its bytes.
//!
//! [`replay`] publishes them again · [`discard`] throws them away; both by the same [`selection`].

pub mod discard;
pub mod replay;
mod selection;
