//! The commands: one file each, or a folder where a command has sub-commands.
//!
//! A command is its `Args` and a `run` that gets them and the [`App`](crate::app::App). Their list,
//! with the help that each shows, is the table in `cli.rs`.

pub mod adopt;
pub mod backup;
pub mod breaker;
pub mod completions;
pub mod consume;
pub mod dead;
pub mod demo;
pub mod doctor;
pub mod healthcheck;
pub mod jobs;
pub mod migrate;
pub mod openapi;
pub mod outbox;
pub mod pause;
pub mod produce;
pub mod resume;
pub mod schedule;
pub mod serve;
pub mod sim;
pub mod stats;
pub mod status;
pub mod trial;
pub mod up;
pub mod users;
pub mod verify;
