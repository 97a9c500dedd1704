//! Dashboard and alerts ask only for what exists, in expressions that Prometheus understands, and
//! the alerts fire when they should.
//!
//! Names and labels are found by reading the expressions' text; promtool reads their grammar.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use isobar_telemetry::metric::{Metric, MetricKind};
use serde_json::Value;

use super::{known, promtool};

const DASHBOARD: &str = include_str!("../../../deploy/grafana/isobar.json");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");

#[tokio::test]
async fn promtool_accepts_the_alerts_and_they_fire_when_they_should() {
    for (command, file) in [
        (["check", "config"], "prometheus.yml"),
        (["check", "rules"], "alerts.yml"),
        (["test", "rules"], "alerts.test.yml"),
    ] {
        let path = format!("{FOLDER}/{file}");
        let said = promtool(&[command[0], command[1], &path], "").await;
        said.unwrap_or_else(|said| panic!("{file}: {said}"));
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_is_so_and_what_to_do() {
    let alerts: Vec<&str> = ALERTS.split("\n      - alert: ").skip(1).collect();
    assert!(alerts.len() > 15, "only {} alerts were found", alerts.len());
    for alert in alerts {
        for needed in ["severity: ", "summary: \"", "description: \""] {
            assert!(alert.contains(needed), "no {needed} in {alert}");
        }
    }
}

#[tokio::test]
async fn the_dashboard_can_be_imported_and_its_expressions_parsed() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{panel}");
    }
    let mut rules = "groups: [{name: dashboard, rules: [\n".to_owned();
    for (number, expression) in of_dashboard().iter().enumerate() {
        let expression = Value::from(expression.replace("$__rate_interval", "5m"));
        writeln!(rules, "{{record: \"panel:{number}\", expr: {expression}}},").expect("a string");
    }
    rules.push_str("]}]\n");
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("dashboard.yml");
    std::fs::write(&file, rules).expect("write a file");
    let said = promtool(&["check", "rules", &file.to_string_lossy()], "").await;
    said.unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn dashboard_and_alerts_ask_only_for_metrics_labels_and_values_that_exist() {
    let alerts = of_alerts();
    assert!(alerts.len() > 15 && of_dashboard().len() > 50);
    let mut faults = Vec::new();
    for expression in alerts.iter().chain(&of_dashboard()) {
        let said = faults_of(expression);
        faults.extend(said.into_iter().map(|fault| format!("{fault} in {expression}")));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn of_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// The expression of each alert: on one line, or on the lines that stand deeper.
fn of_alerts() -> Vec<String> {
    let mut expressions = Vec::new();
    for rest in ALERTS.split("        expr: ").skip(1) {
        let first = rest.lines().next().unwrap_or_default();
        if first == "|" {
            let deeper = |line: &&str| line.starts_with("          ");
            let lines: Vec<&str> = rest.lines().skip(1).take_while(deeper).map(str::trim).collect();
            expressions.push(lines.join(" "));
        } else {
            expressions.push(first.to_owned());
        }
    }
    expressions
}

/// What an expression names that there is not.
fn faults_of(expression: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut asked: Vec<&Metric> = Vec::new();
    let known = known();
    for (at, name) in words(expression).filter(|(_, word)| word.starts_with("isobar_")) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let histogram =
            base.and_then(|base| known.get(base)).filter(|of| of.kind == MetricKind::Histogram);
        // A histogram has no series of its plain name.
        let plain = known.get(name).filter(|metric| metric.kind != MetricKind::Histogram);
        let Some(metric) = histogram.or(plain) else {
            faults.push(format!("no metric {name}"));
            continue;
        };
        asked.push(metric);
        if let Some(matchers) = expression[at + name.len()..].strip_prefix('{') {
            faults.extend(faults_of_matchers(metric, matchers.split('}').next().unwrap_or("")));
        }
    }
    let grouped = expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    for label in grouped.flat_map(|labels| labels.split(',')).map(str::trim) {
        let has = |metric: &&Metric| metric.labels.iter().any(|of| of.name == label);
        let of_scrape = ["job", "instance"].contains(&label);
        let of_buckets =
            label == "le" && asked.iter().any(|metric| metric.kind == MetricKind::Histogram);
        if !of_scrape && !of_buckets && !asked.iter().any(has) {
            faults.push(format!("no label {label}"));
        }
    }
    faults
}

fn faults_of_matchers(metric: &Metric, matchers: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for matcher in matchers.split(',') {
        let (label, value) = matcher.split_once('=').unwrap_or((matcher, ""));
        let label = label.trim_end_matches('!');
        let values = value.trim_start_matches('~').trim_matches('"').split('|');
        match metric.labels.iter().find(|of| of.name == label) {
            None => faults.push(format!("no label {label} of {}", metric.name)),
            Some(of) => faults.extend(
                values
                    .filter(|value| !of.values.is_empty() && !of.values.contains(value))
                    .map(|value| format!("{label} of {} is never {value}", metric.name)),
            ),
        }
    }
    faults
}

/// The words outside quotes, with where they stand.
fn words(expression: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut quoted = false;
    let mut from = None;
    let mut words = Vec::new();
    for (at, c) in expression.char_indices().chain([(expression.len(), ' ')]) {
        quoted ^= c == '"';
        match from {
            None if is_word(c) && !quoted => from = Some(at),
            Some(begin) if !is_word(c) => {
                words.push((begin, &expression[begin..at]));
                from = None;
            }
            _ => {}
        }
    }
    words.into_iter()
}

#[test]
fn what_an_expression_names_and_is_not_there_is_found() {
    let fine = "sum by (outcome, le) (rate(isobar_commit_seconds_bucket[5m])) + isobar_tasks_total{outcome=~\"failed|skipped\"}";
    assert_eq!(faults_of(fine), [""; 0]);
    for (wrong, fault) in [
        ("rate(isobar_rows_total[5m])", "no metric isobar_rows_total"),
        ("isobar_commit_seconds > 1", "no metric isobar_commit_seconds"),
        ("isobar_tasks_total{city=\"x\"}", "no label city of isobar_tasks_total"),
        ("isobar_tasks_total{outcome!=\"lost\"}", "outcome of isobar_tasks_total is never lost"),
        ("sum by (host) (isobar_tasks_total)", "no label host"),
        ("sum by (le) (isobar_tasks_total)", "no label le"),
    ] {
        assert_eq!(faults_of(wrong), [fault], "{wrong}");
    }
}
