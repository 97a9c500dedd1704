//! What Prometheus is told: of an API and of a worker as they run, in good and in bad times.
//!
//! The lists of the crates (`METRICS`) say what exists. A scrape of real processes must hold all of
//! it and nothing else, promtool must find nothing to say, and what others told must be gone when
//! they are.

mod scrape;
mod shipped;
mod times;

use std::collections::BTreeMap;
use std::process::Stdio;

use isobar_telemetry::metric::Metric;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::guard::clean_environment;

/// Every metric that there is, by its name.
pub fn known() -> BTreeMap<&'static str, &'static Metric> {
    let all = [
        isobar_telemetry::METRICS,
        &[isobar_upstream::METRICS],
        isobar_producer::METRICS,
        isobar_consumer::METRICS,
        isobar_api::METRICS,
    ];
    let all: Vec<&Metric> = all.into_iter().flatten().copied().flatten().collect();
    let by_name: BTreeMap<_, _> = all.iter().map(|metric| (metric.name, *metric)).collect();
    assert_eq!(by_name.len(), all.len(), "two metrics have one name");
    by_name
}

/// Runs promtool and returns what it said, which is an error unless it ended well.
pub async fn promtool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .env_clear()
        .envs(clean_environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("promtool starts (is it installed? run tests/run)");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).await.expect("promtool reads");
    drop(stdin);
    let ended = child.wait_with_output().await.expect("promtool ends");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    if ended.status.success() { Ok(said) } else { Err(said) }
}
