//! The fixtures of the integration tests: real servers, real processes, real HTTP.
//!
//! Each fixture is private to the test that starts it, listens on 127.0.0.1 on a port of its own,
//! keeps its files in a temporary folder and is gone when the test is, even after a kill -9 of the
//! test process (see `guard`). Nothing here knows what Isobar does; what a row or a job should look
//! like is for the tests to say. Waiting is on predicates only (`wait`).

pub mod browser;
pub mod disk;
pub mod guard;
pub mod http;
pub mod isobar;
pub mod port;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod sim;
pub mod stage;
pub mod wait;
