//! What is shipped beside the binary must fit it: settings, samples, the container's promises.
//!
//! There is no Docker engine in a test run, so the files are read as text. A setting that a
//! deployment file names and `.env.example` does not explain is a typing error or a gap in the
//! documentation; either way somebody would look for it in vain.

use std::collections::{BTreeMap, BTreeSet};

const ENV_EXAMPLE: &str = include_str!("../../.env.example");
const COMPOSE: &str = include_str!("../../docker-compose.yml");

#[test]
fn every_setting_of_a_deployment_file_is_explained() {
    let explained = settings_of(ENV_EXAMPLE);
    assert!(explained.contains("ISOBAR_DATA_DIR") && explained.contains("REDIS_URL"));
    let files = [
        ("docker-compose.yml", COMPOSE),
        ("Dockerfile", include_str!("../../Dockerfile")),
        ("deploy/crontab", include_str!("../../deploy/crontab")),
        (
            "deploy/isobar.service",
            include_str!("../../deploy/isobar.service"),
        ),
        (
            "deploy/docker/crontab",
            include_str!("../../deploy/docker/crontab"),
        ),
    ];
    for (file, text) in files {
        let unknown: Vec<_> = settings_of(text).difference(&explained).copied().collect();
        assert!(
            unknown.is_empty(),
            "{file} names {unknown:?}, which .env.example does not explain"
        );
    }
}

#[test]
fn every_setting_has_its_line_of_explanation() {
    let lines: Vec<&str> = ENV_EXAMPLE.lines().collect();
    for pair in lines
        .windows(2)
        .filter(|pair| pair[1].contains('=') && !pair[1].starts_with("# "))
    {
        assert!(
            pair[0].starts_with("# "),
            "{} stands there without a word",
            pair[1]
        );
    }
}

#[test]
fn workers_can_be_scaled_and_have_time_to_give_back() {
    let services = services_of(COMPOSE);
    let worker = &services["worker"];
    assert!(
        !worker.contains("container_name:"),
        "a name can be had by one container only"
    );
    assert!(
        !worker.contains("ports:"),
        "a port of the host can be had by one container only"
    );
    assert!(worker.contains("replicas: 2"));
    let grace = COMPOSE
        .split_once("\n  stop_grace_period: ")
        .expect("a grace for every role")
        .1;
    let seconds = grace.split_once('s').expect("in seconds").0.parse::<u64>();
    assert!(
        seconds.expect("a number") > 60,
        "not longer than a worker's lease"
    );
    assert!(services["redis"].contains("noeviction") && services["redis"].contains("--appendonly"));
    assert!(services["postgres"].contains("5433:5432"));
}

fn settings_of(text: &str) -> BTreeSet<&str> {
    let is_setting = |word: &&str| {
        ["REDIS_URL", "DATABASE_URL"].contains(word)
            || word
                .strip_prefix("ISOBAR_")
                .is_some_and(|rest| !rest.is_empty())
    };
    let between = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    text.split(between).filter(is_setting).collect()
}

/// The text of each service: the keys that are two spaces deep below `services:`.
fn services_of(compose: &str) -> BTreeMap<&str, String> {
    let mut services: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = None;
    for line in compose
        .lines()
        .skip_while(|line| *line != "services:")
        .skip(1)
    {
        if !line.starts_with(' ') && !line.is_empty() {
            break;
        }
        if let Some(key) = line
            .strip_prefix("  ")
            .filter(|key| key.starts_with(char::is_alphabetic))
        {
            name = key.strip_suffix(':');
        }
        if let Some(name) = name {
            let text = services.entry(name).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    services
}
