//! `isobar doctor`: checks configuration, outboxes, servers and upstreams, and prints the settings.
//!
//! Guarantees: each finding says in a sentence what is wrong and what to do. The command changes
//! nothing except a test file in the data dir. It requests the weather of one location, which
//! counts against the quota: only an answer shows that address, network, certificates and key work.

mod outboxes;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use isobar_broker::{Broker, RedisInfo, Topic, store_conflict};
use isobar_model::city::Coordinates;
use isobar_model::pipeline::PipelineName;
use isobar_model::schedule::Schedule;
use isobar_producer::source::open_sources;
use isobar_settings::values::ByteSize;
use isobar_settings::{Environment, SETTINGS, Settings};
use isobar_sqlite::{disk, private};
use isobar_store::{Store, StoreError};
use isobar_telemetry::error_chain;
use isobar_upstream::{Answer, Priority, WeatherClient};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;

use crate::app::App;
use crate::commands::outbox::source_line;
use crate::context::require_installation;
use crate::exit::Exit;

const OLDEST_REDIS: u32 = 7;
/// Windows and leases use the clock of Redis; logs and ids use the local clock.
const TOLERABLE_SKEW: TimeDelta = TimeDelta::seconds(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const LOSES_COMMITS: &str = "synchronous_commit is off by default: a crash of PostgreSQL may undo \
     commits that it has acknowledged; isobar sets it to on for its own sessions, other programs may \
     not; set it to on for the server, the database or the role";

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar doctor")]
pub struct Args {}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: CheckStatus,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckStatus {
    Ok,
    Warning,
    Broken,
}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    let mut findings = vec![listen(&settings)];
    let names = Environment::from_process().warnings();
    findings.extend(names.into_iter().map(|detail| warning("settings", detail)));
    let installation = require_installation(&settings);
    match &installation {
        Ok(()) => {
            findings.push(data_dir(&settings.data_dir.0));
            findings.extend(outboxes::check(&settings).await);
            findings.extend(broker(&settings).await);
            findings.extend(store(&settings).await);
            findings.extend(streams_of_the_store(&settings).await);
            findings.push(upstream(&settings).await);
        }
        Err(error) => findings.push(broken("installation", error.to_string())),
    }
    findings.extend(others(&settings).await);
    findings.extend(open_breakers(&settings).await);
    findings.extend(schedules(&settings));
    let document = json!({
        "settings": settings.effective().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "findings": findings,
    });
    app.print(&document, || describe(&settings, &findings))?;
    if installation.is_err() {
        return Ok(Exit::BadConfig);
    }
    let broken = findings.iter().any(|finding| finding.state == CheckStatus::Broken);
    Ok(if broken { Exit::Failed } else { Exit::Done })
}

fn describe(settings: &Settings, findings: &[Finding]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (name, value) in settings.effective() {
        let default = SETTINGS.iter().find(|setting| setting.name == name);
        let value = value.unwrap_or_else(|| "(unset)".to_owned());
        let changed = default.is_some_and(|setting| setting.default != value && value != "(unset)");
        let _ = writeln!(text, "{} {name} = {value}", if changed { "*" } else { " " });
    }
    text.push_str("(* differs from the default)\n\n");
    for finding in findings {
        let mark = match finding.state {
            CheckStatus::Ok => "ok     ",
            CheckStatus::Warning => "WARNING",
            CheckStatus::Broken => "ERROR  ",
        };
        let _ = writeln!(text, "{mark} {}: {}", finding.check, finding.detail);
    }
    text
}

fn data_dir(path: &Path) -> Finding {
    let probe = path.join(".doctor");
    let written = private::create_folder(path).and_then(|()| std::fs::write(&probe, b"ok"));
    match written.and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) if disk::has_no_room(path) => broken("data dir", no_room(path)),
        Err(error) if disk::is_full(&error) => broken("data dir", no_room(path)),
        Ok(()) => ok("data dir", format!("{} can be written", path.display())),
        Err(error) => broken(
            "data dir",
            format!(
                "{} cannot be written ({error}); set ISOBAR_DATA_DIR or its owner",
                path.display()
            ),
        ),
    }
}

fn no_room(path: &Path) -> String {
    format!(
        "the disk of {} is full; nothing is lost; make room, then the processes continue",
        path.display()
    )
}

fn listen(settings: &Settings) -> Finding {
    match settings.listen_error() {
        None => ok("listen", format!("{} is safe", settings.listen)),
        Some(why) => broken("listen", format!("{why}; `isobar serve` refuses to start")),
    }
}

fn schedules(settings: &Settings) -> Vec<Finding> {
    let now = Utc::now();
    let next = |schedule: Schedule| {
        let next = schedule.next(now)?.with_timezone(&schedule.timezone);
        let next = next.to_rfc3339_opts(SecondsFormat::Secs, true);
        Some(ok("schedule", format!("{} fires next at {next}, if a scheduler runs", schedule.name)))
    };
    settings.schedules().into_iter().filter_map(next).collect()
}

async fn broker(settings: &Settings) -> Vec<Finding> {
    let broker = match Broker::open(settings) {
        Ok(broker) => broker,
        Err(error) => {
            return vec![broken("broker", format!("{}; check REDIS_URL", error_chain(&error)))];
        }
    };
    if let Some(obstacle) = broker.role().await.and_then(|role| role.obstacle(&broker.location())) {
        return vec![broken("broker", obstacle)];
    }
    if let Err(error) = broker.ping().await {
        let fix = "start it, or check REDIS_URL, its password and the network";
        return vec![broken("broker", format!("{}; {fix}", error_chain(&error)))];
    }
    if let Err(error) = broker.check_rights().await {
        return vec![broken("broker", error_chain(&error))];
    }
    let topic = Topic::weather(settings);
    let mut findings =
        vec![ok("broker", format!("{} at {} answers", broker.kind(), broker.location()))];
    match broker.inspect(&topic).await {
        Ok(Some(facts)) => judge(&facts, &topic, &mut findings),
        Ok(None) => {}
        Err(error) => findings.push(broken("broker", error_chain(&error))),
    }
    match broker.depth(&topic, settings.claim_idle.0).await {
        Ok(depth) => findings.push(ok(
            "stream",
            format!(
                "{} holds {} unfinished tasks, {} of them pending",
                topic.stream, depth.tasks, depth.pending
            ),
        )),
        Err(error) => findings.push(broken("stream", error_chain(&error))),
    }
    findings
}

fn version(version: Option<&str>) -> Finding {
    let Some(version) = version else {
        return warning("redis version", "the server does not say (INFO is not allowed)".into());
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major < OLDEST_REDIS => broken(
            "redis version",
            format!("{version} is too old; {OLDEST_REDIS}.0 or Valkey is needed"),
        ),
        _ => ok("redis version", version.to_owned()),
    }
}

fn memory(used: u64, most: u64) -> Finding {
    let share = format!("{} of {}", ByteSize(used), ByteSize(most));
    if used < most {
        return ok("redis memory", share);
    }
    broken(
        "redis memory",
        format!(
            "{share}: Redis is full and takes no task; start workers, which make room, or raise maxmemory"
        ),
    )
}

fn judge(facts: &RedisInfo, topic: &Topic, findings: &mut Vec<Finding>) {
    findings.push(version(facts.version.as_deref()));
    findings.extend(facts.memory.map(|(used, most)| memory(used, most)));
    match facts.append_only.as_deref() {
        Some("yes") => findings.push(ok("redis persistence", "appendonly is on".into())),
        Some(_) => findings.push(warning(
            "redis persistence",
            "appendonly is off: a restart loses the stream and producers send it again; set appendonly yes".into(),
        )),
        None => findings.push(warning("redis persistence", "the server does not say (CONFIG is not allowed)".into())),
    }
    match facts.eviction.as_deref() {
        Some("noeviction") => findings.push(ok("redis eviction", "noeviction".into())),
        Some(policy) => findings.push(broken(
            "redis eviction",
            format!(
                "{policy} may drop tasks when memory is short; set maxmemory-policy noeviction"
            ),
        )),
        None => findings.push(warning(
            "redis eviction",
            "the server does not say (CONFIG is not allowed)".into(),
        )),
    }
    let (ours, others): (Vec<_>, Vec<_>) =
        facts.groups.iter().partition(|group| group.name == topic.group);
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|group| group.name.as_str()).collect();
        findings.push(warning(
            "consumer groups",
            format!(
                "{}: finished entries leave the stream before another group has read them; give each group its own stream, or remove unused groups with XGROUP DESTROY",
                names.join(", ")
            ),
        ));
    }
    if let Some(lost) = ours.first().and_then(|group| group.lost).filter(|lost| *lost > 0) {
        findings.push(broken(
            "trimming",
            format!(
                "{lost} unfinished entries were removed by another client; no client may trim the stream (MAXLEN, XTRIM, XDEL); then run `isobar verify`"
            ),
        ));
    }
    let redis_time =
        chrono::DateTime::from_timestamp_millis(facts.time_ms as i64).unwrap_or_default();
    let skew = (Utc::now() - redis_time).abs();
    if skew > TOLERABLE_SKEW {
        findings.push(warning(
            "clock",
            format!(
                "differs from the clock of Redis by {} s; run NTP on both hosts",
                skew.num_seconds()
            ),
        ));
    }
}

async fn store(settings: &Arc<Settings>) -> Vec<Finding> {
    let store = match Store::open(settings).await {
        Ok(store) => store,
        Err(error) => {
            let mut detail = error_chain(&error);
            // A refusal says itself what to correct.
            if !matches!(error, StoreError::Refused { .. }) {
                detail.push_str("; check DATABASE_URL");
            }
            return vec![broken("store", detail)];
        }
    };
    let schema = format!("{} at {} has the schema of this version", store.kind(), store.location());
    let mut findings = vec![ok("store", schema)];
    if store.loses_commits_by_default() {
        findings.push(warning("store durability", LOSES_COMMITS.to_owned()));
    }
    findings
}

/// Requests the weather of one location.
async fn upstream(settings: &Arc<Settings>) -> Finding {
    let location = Coordinates::new(0.0, 0.0).expect("valid coordinates");
    let host = settings.upstream_url().host_str().unwrap_or_default().to_owned();
    let detail = |text: &str| format!("{host} {text}");
    let client = Broker::open(settings).map_err(anyhow::Error::from);
    let client = client.and_then(|broker| WeatherClient::new(Arc::clone(settings), broker));
    let upstream = match client {
        Ok(upstream) => upstream,
        Err(error) => return broken("upstream", detail(&format!("cannot be called: {error:#}"))),
    };
    match upstream.weather(&[location], Priority::Interactive).await {
        Answer::Ok(_) => ok("upstream", detail("returns weather")),
        Answer::Wait { until, why } => {
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            let why = why.as_str();
            warning("upstream", detail(&format!("is not called before {until} ({why}); wait")))
        }
        Answer::Misconfigured { reason } => broken(
            "upstream",
            detail(&format!(
                "rejects the request ({reason}); check the key, the plan and the address"
            )),
        ),
        Answer::Retry { reason, .. } => broken(
            "upstream",
            detail(&format!(
                "is not answering ({reason}); check the address and the network, or wait"
            )),
        ),
        Answer::TooLarge { reason } | Answer::BadLocation { reason, .. } => broken(
            "upstream",
            detail(&format!("unexpected response ({reason}); check the address")),
        ),
    }
}

/// Streams whose workers write to another store. Servers that do not answer are findings already.
async fn streams_of_the_store(settings: &Settings) -> Vec<Finding> {
    let (Ok(broker), Ok(store)) = (Broker::open(settings), Store::open(settings).await) else {
        return Vec::new();
    };
    let Ok(name) = store.identity().await else { return Vec::new() };
    let mut findings = Vec::new();
    for stream in PipelineName::streams() {
        let topic = Topic::of(stream, settings);
        let owner = broker.store(&topic).await.ok().flatten();
        let conflict = owner.and_then(|owner| store_conflict(&topic.stream, &owner, &name));
        findings.extend(conflict.map(|detail| broken("store of the stream", detail)));
    }
    findings
}

/// Hosts without a key: a connection is enough.
async fn others(settings: &Settings) -> Vec<Finding> {
    let mut urls = vec![("geocoding", &settings.geocoding_url.0)];
    if let Some(source) = &settings.city_source_url {
        urls.push(("city source", &source.0));
    }
    let mut findings = Vec::new();
    for (check, url) in urls {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(443);
        let dialled = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect((host, port))).await;
        let error = match dialled {
            Ok(Ok(_)) => {
                findings.push(ok(check, format!("{host}:{port} accepts connections")));
                continue;
            }
            Ok(Err(error)) => format!("cannot be reached ({error})"),
            Err(_) => format!("is not answering within {CONNECT_LIMIT:?}"),
        };
        let fix = "check the address and the network";
        findings.push(broken(check, format!("{host}:{port} {error}; {fix}")));
    }
    findings
}

/// Sources that producers of this host do not ask for some time.
async fn open_breakers(settings: &Settings) -> Vec<Finding> {
    match open_sources(settings).await {
        Ok(open) => {
            open.iter().map(|source| warning("source breaker", source_line(source))).collect()
        }
        // They are in an outbox, and its own line says that it cannot be read.
        Err(_) => Vec::new(),
    }
}

fn ok(check: &'static str, detail: String) -> Finding {
    Finding { check, state: CheckStatus::Ok, detail }
}

fn warning(check: &'static str, detail: String) -> Finding {
    Finding { check, state: CheckStatus::Warning, detail }
}

fn broken(check: &'static str, detail: String) -> Finding {
    Finding { check, state: CheckStatus::Broken, detail }
}

#[cfg(test)]
mod tests {
    use isobar_broker::GroupInfo;

    use super::*;

    /// States that a test cannot produce: an old server, another clock, silence.
    #[test]
    fn each_fact_about_redis_has_its_finding() {
        let topic = Topic::new("s", "ours");
        let group = |name: &str, lost| GroupInfo { name: name.into(), lost };
        let good = RedisInfo {
            version: Some("8.2.3".into()),
            memory: None,
            time_ms: Utc::now().timestamp_millis() as u64,
            groups: vec![group("ours", Some(0))],
            append_only: Some("yes".into()),
            eviction: Some("noeviction".into()),
        };
        let judged = |facts: RedisInfo| {
            let mut findings = Vec::new();
            judge(&facts, &topic, &mut findings);
            findings.retain(|finding| finding.state != CheckStatus::Ok);
            findings.into_iter().map(|found| (found.check, found.state)).collect::<Vec<_>>()
        };
        assert_eq!(judged(good.clone()), []);
        let old = RedisInfo { version: Some("6.2.14".into()), ..good.clone() };
        assert_eq!(judged(old), [("redis version", CheckStatus::Broken)]);
        let ahead = RedisInfo { time_ms: good.time_ms + 3_600_000, ..good.clone() };
        assert_eq!(judged(ahead), [("clock", CheckStatus::Warning)]);
        let silent = RedisInfo {
            groups: vec![group("ours", None)],
            append_only: None,
            eviction: None,
            ..good.clone()
        };
        let unknown =
            [("redis persistence", CheckStatus::Warning), ("redis eviction", CheckStatus::Warning)];
        assert_eq!(judged(silent), unknown);
        let shared = vec![group("ours", Some(3)), group("other", Some(9))];
        let shared = RedisInfo { groups: shared, ..good };
        let found = [("consumer groups", CheckStatus::Warning), ("trimming", CheckStatus::Broken)];
        assert_eq!(judged(shared), found);
    }
}
