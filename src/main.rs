//! `isobar`: one binary, one role per command.
//!
//! This file parses the command line, sets up what a process has once (the allocator) and turns
//! the outcome into an exit code. Each command is a file in `commands/`; the work is done in the
//! crates `producer`, `consumer`, `api` and `sim`.
//! Next: [`cli`], or the picture in ARCHITECTURE.md.

mod age;
mod app;
mod cli;
mod commands;
mod context;
mod exit;
mod health_server;
mod list_output;
mod logs;
mod operator;
mod progress;
mod recorder;
mod republish;
mod roles;

use std::process::ExitCode;

use clap::Parser;
use isobar_telemetry::process;

// Many small JSON texts from several threads: measured faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::mark_started();
    let cli = cli::Cli::parse();
    exit::report(cli::run(cli))
}
