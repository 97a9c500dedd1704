//! The broker over Redis Streams: Redis ≥ 7.0 or Valkey, one primary.
//!
//! Every transition is one Lua script in `scripts/`, so a crash between two steps cannot happen.
//! The consumer group holds an entry's owner, idle time and deliveries; a hash beside the stream
//! holds its attempts.
//! Guarantees: a Redis that is down fails the call, not the start. No command is sent twice (I1).
//! Does not: retry, or use a command newer than 7.0.
//! Next: `broker.rs` and `connection.rs`, then `append.rs`, `deliver.rs`, `lease.rs`, `depth.rs`
//! (the stream), `quota.rs`, `cache.rs` (with heartbeats) and `flags.rs`.

mod append;
mod broker;
mod cache;
mod connection;
mod deliver;
mod depth;
mod error;
mod flags;
mod inspect;
mod lease;
mod quota;
mod reply;
mod role;
mod scripts;

pub use broker::RedisBroker;
