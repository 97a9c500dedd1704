//! The benchmark: what each stretch of a row's way costs on this machine, in one table.
//!
//! ```text
//! cargo bench                                   # everything, a few minutes
//! cargo bench -- --quick                        # small numbers: does it still run?
//! cargo bench -- --only relay,drain --runs 5    # parts: see --help
//! cargo bench -- --json --out bench.json        # the same for machines
//! ```
//!
//! `http` needs Debian's package `wrk`; without it that row is left empty.
//!
//! It starts a real Redis (append-only file every second, `noeviction`), a real PostgreSQL (fsync
//! on) and `isobar sim`, and runs the binary's roles as a user would: as processes, timed from the
//! start of the process to its end. Beside them stand two limits measured in the same run (the
//! append script alone, the committer's statements alone), so that a ratio says something on any
//! machine. Everything shares the machine's cores, as it does on the machine of the targets.
//!
//! It is no test: a missed target is marked and the exit code stays 0; a part that breaks is said
//! to have failed and the code is 1. Read on in [`table`], then any part: [`produce`], [`drain`],
//! [`memory`], [`http`].

mod cities;
mod drain;
mod fixtures;
#[path = "../it/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the fixtures of the tests, of which few are needed")]
mod harness;
mod http;
mod limits;
mod memory;
mod noop;
mod pages;
mod produce;
mod table;
mod wrk;

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures::FutureExt;

use crate::fixtures::{Ground, Scale};
use crate::table::{Machine, Table};

// As the binary does, since some parts run in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "bench", about = "What each stretch of a row's way costs on this machine")]
struct Options {
    /// Cities in the stream for drains [default: 34006]
    #[arg(long, value_name = "N")]
    cities: Option<usize>,
    /// Rows of the large CSV and of the large job; a tenth of it is the small CSV [default: 1000000]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Median of so many runs (the large CSV runs once) [default: 3]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Small numbers and one run: a smoke test, not a measurement
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Write the JSON to this file, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Source to outbox: CSV and API
    Extract,
    /// Outbox to Redis, beside the append script alone
    Relay,
    /// Stream to nowhere: a worker with an upstream that costs nothing
    Noop,
    /// Stream to store over Redis and PostgreSQL, beside the committer's statements alone
    Drain,
    /// The same with nothing installed
    Embedded,
    /// From the start of `produce` to the last city stored
    Whole,
    /// Peak memory of a large CSV, and whether time grows with its rows
    Memory,
    /// `isobar demo --exit`
    Demo,
    /// A cached city beside a bare handler (needs `wrk`), and pages of a large job's results
    Http,
}

impl Options {
    fn scale(&self) -> Scale {
        let (cities, rows, runs, load_seconds) =
            if self.quick { (2_000, 20_000, 1, 1) } else { (34_006, 1_000_000, 3, 10) };
        Scale {
            load_seconds,
            cities: self.cities.unwrap_or(cities).max(1),
            rows: self.rows.unwrap_or(rows).max(10),
            runs: self.runs.unwrap_or(runs).max(1),
        }
    }

    fn parts(&self) -> &[Part] {
        if self.only.is_empty() { <Part as clap::ValueEnum>::value_variants() } else { &self.only }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let machine = Machine::look();
    let began = Instant::now();
    let ground = Ground::prepare(options.scale()).await;
    let mut table = Table::new(machine, ground.scale, options.quick);
    for &part in options.parts() {
        say(&format!("{part:?} …"));
        // A part that breaks (its message is on stderr) must not take the others' figures along.
        match AssertUnwindSafe(measure(part, &ground)).catch_unwind().await {
            Ok(rows) => rows.into_iter().for_each(|row| {
                say(&row.brief());
                table.add(row);
            }),
            Err(_) => table.failed(&format!("{part:?}").to_lowercase()),
        }
    }
    table.took(began.elapsed());
    let document = format!("{:#}\n", table.json());
    if let Some(path) = &options.out
        && let Err(error) = std::fs::write(path, &document)
    {
        say(&format!("cannot write {}: {error}", path.display()));
        return ExitCode::FAILURE;
    }
    let text = if options.json { document } else { table.to_string() };
    // A reader that closed the pipe has seen enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if table.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(part: Part, ground: &Ground) -> Vec<table::Row> {
    match part {
        Part::Extract => produce::extract(ground).await,
        Part::Relay => produce::relay(ground).await,
        Part::Noop => noop::drain(ground).await,
        Part::Drain => drain::on_servers(ground).await,
        Part::Embedded => drain::embedded(ground).await,
        Part::Whole => drain::whole(ground).await,
        Part::Memory => memory::large_csv(ground).await,
        Part::Demo => drain::demo(ground).await,
        Part::Http => {
            let mut rows = http::weather(ground).await;
            rows.extend(pages::results(ground).await);
            rows
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}
