//! `isobar`: one binary, one role per command.
//!
//! This file only parses, sets up what a process has once (allocator, TLS, logs) and turns the
//! outcome into an exit code. Each command is a file beside it with an `Args` and a `run`; what
//! they do is in the crates `producer`, `consumer`, `api` and `sim`. Start reading at [`cli`],
//! or with the picture in ARCHITECTURE.md.

mod again;
mod age;
mod app;
mod breaker;
mod cli;
mod completions;
mod consume;
mod counters;
mod dead;
mod demo;
mod doctor;
mod exit;
mod healthcheck;
mod items;
mod jobs;
mod migrate;
mod openapi;
mod operator;
mod outbox;
mod parts;
mod pause;
mod produce;
mod progress;
mod resume;
mod roles;
mod schedule;
mod serve;
mod sim;
mod stats;
mod status;
mod up;
mod users;
mod verify;
mod worker_health;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use isobar_shared::process;

// Many small JSON texts from several threads: measured faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::started();
    let cli = cli::Cli::parse();
    exit::report(cli::run(cli))
}
