//! The broker in a SQLite file: the same promises as over Redis, with nothing to install.
//!
//! Guarantees: any number of processes on one host share the file. Every transition is one write
//! transaction. A commit survives the death of its process at once, and power loss after the next
//! checkpoint; what power loss takes back is sent again, as after a Redis restart. A new file is an
//! incomplete stream until `heal` creates its topic, with a new epoch.
//! Does not: retry, or serve other hosts (SQLite's locks do not reach over a network). It ignores
//! the group's name, because each stream has one group.
//! Next: `schema.sql` and `broker.rs`, then `append.rs`, `deliver.rs`, `lease.rs`, `depth.rs`,
//! `quota.rs` (arithmetic in `quota_windows.rs`), `cache.rs` and `flags.rs`.

mod append;
mod broker;
mod cache;
mod deliver;
mod depth;
mod entry_row;
mod error;
mod flags;
mod lease;
mod quota;
pub mod quota_windows;
mod watermark;

pub use broker::EmbeddedBroker;
