//! `wrk`: load on one URL from 64 connections, and what it measured.
//!
//! It is Debian's package of that name, and no part of the tests: without it the rows say so.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::harness::guard::clean_environment;

const THREADS: &str = "-t2";
const CONNECTIONS: &str = "-c64";
/// Beyond the load itself.
const SLACK: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub per_second: f64,
    /// 99 of 100 requests took no longer, in milliseconds.
    pub p99_ms: f64,
}

pub async fn is_there() -> bool {
    let mut look = wrk();
    look.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_ok()
}

pub async fn load(url: &str, seconds: u64) -> Load {
    let mut command = wrk();
    command.args([THREADS, CONNECTIONS, &format!("-d{seconds}s"), "--latency", url]);
    let ran = tokio::time::timeout(Duration::from_secs(seconds) + SLACK, command.output());
    let output = ran.await.expect("wrk ends").expect("wrk starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    read(&said).unwrap_or_else(|| panic!("not every answer was a success: {said}"))
}

fn wrk() -> Command {
    let mut command = Command::new("wrk");
    command.env_clear().envs(clean_environment()).kill_on_drop(true);
    command
}

/// None where an answer failed: a server that refuses is fast.
fn read(said: &str) -> Option<Load> {
    let after = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start));
    if after("Non-2xx").or(after("Socket errors")).is_some() {
        return None;
    }
    let per_second = after("Requests/sec:")?.trim().parse().ok()?;
    Some(Load { per_second, p99_ms: milliseconds(after("99%")?.trim())? })
}

/// `845.00us`, `1.20ms` and `1.05s`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)];
    let (number, unit) =
        units.iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, length)))?;
    Some(number.parse::<f64>().ok()? * unit)
}
