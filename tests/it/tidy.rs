//! What the tree must look like, checked: the rules that neither rustc nor clippy can see.
//!
//! Forbidden edges between crates, files that are too long or say nothing about themselves, settings
//! read outside the configuration, Redis keys spelt outside their one file, too many traits, silenced
//! lints, ignored tests, sleeps and stubs. All faults are reported at once, each with its file and
//! line. The rules read text, not syntax: what is written to trick them will trick them.

mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MAX_LINES: usize = 500;
/// Pipeline, the store's five (what both databases bind and read), the simulator's one.
const MAX_TRAITS: usize = 7;

/// Crate folder, and the crates of ours that it may name as a dependency: lowest layer first.
const EDGES: [(&str, &[&str]); 15] = [
    ("shared/model", &[]),
    ("shared/telemetry", &[]),
    ("shared/failpoint", &[]),
    ("shared/sqlite", &[]),
    ("shared/tls", &[]),
    ("shared/settings", &["model", "tls"]),
    ("shared/broker", &["model", "tls", "sqlite", "settings"]),
    ("shared/store", &["model", "tls", "sqlite", "settings"]),
    ("shared/upstream", &["model", "telemetry", "tls", "settings", "broker", "store"]),
    ("shared/admin", &["model", "failpoint", "settings", "broker", "store", "upstream"]),
    (
        "producer",
        &["model", "telemetry", "failpoint", "tls", "sqlite", "settings", "broker", "store"],
    ),
    ("consumer", &["model", "telemetry", "failpoint", "settings", "broker", "store", "upstream"]),
    (
        "api",
        &[
            "model",
            "telemetry",
            "failpoint",
            "settings",
            "broker",
            "store",
            "upstream",
            "admin",
            "producer",
        ],
    ),
    ("sim", &[]),
    (
        "",
        &[
            "model",
            "telemetry",
            "failpoint",
            "tls",
            "sqlite",
            "settings",
            "broker",
            "store",
            "upstream",
            "admin",
            "producer",
            "consumer",
            "api",
            "sim",
        ],
    ),
];

/// Text that no line of ours holds, why, and the files or folders where it may stand.
const FORBIDDEN: [(&str, &str, &[&str]); 11] = [
    ("#[allow(", "say #[expect(.., reason)]", &[]),
    ("#![allow(", "say #[expect(.., reason)]", &[]),
    ("#[ignore", "a test runs or does not exist", &[]),
    ("thread::sleep", "wait for a predicate", &[]),
    ("todo!(", "a stub", &[]),
    ("unimplemented!(", "a stub", &[]),
    (
        "env::var",
        "settings are read in the configuration",
        &["shared/settings", "tests/it/harness/guard.rs"],
    ),
    ("env::set_var", "settings are values", &[]),
    ("counter!(\"", "a metric is a constant that says what it means", &[]),
    ("gauge!(\"", "a metric is a constant that says what it means", &[]),
    ("histogram!(\"", "a metric is a constant that says what it means", &[]),
];

const KEYS_FILE: &str = "shared/broker/src/keys.rs";
const EMPTY_NAMES: [&str; 7] =
    ["utils", "common", "helpers", "types", "manager", "service", "misc"];

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(root, root, &mut paths);
    assert!(paths.len() > 5, "the sources were not found under {}", root.display());
    let mut faults = Vec::new();
    let mut traits = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(root.join(path)).expect("read a source file");
        faults.extend(faults_of_source(path, &text));
        traits.extend(traits_of(&text).map(|name| format!("{path}: {name}")));
    }
    for folder in crate_folders(root) {
        let Some((_, allowed)) = EDGES.iter().find(|(listed, _)| *listed == folder) else {
            faults.push(format!("{folder}/Cargo.toml: a crate without a row in EDGES"));
            continue;
        };
        let manifest =
            fs::read_to_string(root.join(&folder).join("Cargo.toml")).expect("read a manifest");
        faults.extend(faults_of_manifest(&folder, allowed, &manifest));
    }
    if traits.len() > MAX_TRAITS {
        faults.push(format!(
            "{} traits, {MAX_TRAITS} at most: {}",
            traits.len(),
            traits.join(", ")
        ));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every .rs file as a path from the root with forward slashes; build output and dot files apart.
pub fn collect(root: &Path, folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("read a folder entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || ["target", "isobar-data"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            into.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// The folders that hold a manifest, `""` for the root: the members are at most two levels down.
fn crate_folders(root: &Path) -> Vec<String> {
    let mut folders = vec![String::new()];
    let mut look_in = vec![String::new(), "shared/".to_owned()];
    while let Some(parent) = look_in.pop() {
        for entry in fs::read_dir(root.join(&parent)).expect("list a folder") {
            let entry = entry.expect("read a folder entry");
            if entry.path().join("Cargo.toml").is_file() {
                folders.push(format!("{parent}{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    assert_eq!(folders.len(), EDGES.len(), "a row of EDGES has no folder: {folders:?}");
    folders
}

fn faults_of_source(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines, {MAX_LINES} at most"));
    }
    if !text.starts_with("//!") {
        faults.push(format!("{path}:1: does not say what it is for (a //! header)"));
    }
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    if EMPTY_NAMES.contains(&&*stem) {
        faults.push(format!("{path}: a name that says nothing"));
    }
    // This file spells out what it forbids.
    if path == "tests/it/tidy.rs" {
        return faults;
    }
    let tests_from = first_test_line(path, text);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !is_comment(line)) {
        for (words, why, exempt) in FORBIDDEN {
            if line.contains(words) && !exempt.iter().any(|place| path.starts_with(place)) {
                faults.push(format!("{path}:{number}: `{words}`: {why}"));
            }
        }
        if number < tests_from && path != KEYS_FILE && has_redis_key(line) {
            faults.push(format!("{path}:{number}: a Redis key is spelt outside {KEYS_FILE}"));
        }
    }
    faults
}

/// Where the tests of a file begin; a file of tests is tests from its first line.
fn first_test_line(path: &str, text: &str) -> usize {
    if path.split('/').any(|part| part == "tests" || part == "tests.rs") {
        return 0;
    }
    let lines: Vec<&str> = text.lines().collect();
    let starts =
        |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ");
    lines.windows(2).position(starts).map_or(usize::MAX, |index| index + 1)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// A literal with our prefix, a stream's hash tag or the name of the control stream in it.
/// `isobar: ` with a space is how a message begins, not a key.
fn has_redis_key(line: &str) -> bool {
    let Some((_, literal)) = line.split_once('"') else {
        return false;
    };
    let prefixed = literal.match_indices("isobar:").any(|(at, found)| {
        literal[at + found.len()..].starts_with(|next: char| !next.is_whitespace() && next != '"')
    });
    prefixed || ["{owm", "}}}:", ":control\""].iter().any(|mark| literal.contains(mark))
}

fn traits_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let first = words.find(|word| !(word.starts_with("pub") || *word == "unsafe"))?;
        let name = words.next()?;
        (first == "trait").then(|| name.trim_end_matches(['{', ':']))
    })
}

/// The edges of a manifest that the design forbids. Tests may use the simulator anywhere.
fn faults_of_manifest(folder: &str, allowed: &[&str], manifest: &str) -> Vec<String> {
    let mut named = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        let key = if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            section.rsplit('.').next().unwrap_or_default()
        } else {
            line.split(['.', '=', ' ']).next().unwrap_or_default()
        };
        let is_edge = section.contains("dependencies") && !section.starts_with("workspace");
        if let Some(other) = key.strip_prefix("isobar-").filter(|_| is_edge) {
            named.insert((other, section.contains("dev-dependencies")));
        }
    }
    let forbidden = |(other, in_tests): &(&str, bool)| {
        !(allowed.contains(other) || *in_tests && *other == "sim")
    };
    let edges = named.iter().filter(|edge| forbidden(edge));
    edges.map(|(other, _)| format!("{folder}/Cargo.toml: must not depend on {other}")).collect()
}

#[test]
fn each_rule_finds_what_it_forbids() {
    let source =
        |line: &str| faults_of_source("api/src/page.rs", &format!("//! A page.\n{line}\n"));
    for line in [
        "#[allow(dead_code)]",
        "#[ignore = \"slow\"]",
        "std::thread::sleep(pause);",
        "todo!()",
        "counter!(\"isobar_rows_total\").increment(1);",
        "let url = std::env::var(\"REDIS_URL\");",
        "let key = \"isobar:cache\";",
        "let key = format!(\"{{{stream}}}:attempts\");",
        "let key = format!(\"{stream}:control\");",
        "let key = \"{owm-ingestion-stream}:epoch\";",
    ] {
        assert_eq!(source(line).len(), 1, "{line}");
    }
    for line in [
        "// std::env::var is read elsewhere",
        "eprintln!(\"isobar: Redis is not answering\");",
        "#[cfg(test)]\nmod tests { const KEY: &str = \"isobar:cache\"; }",
    ] {
        assert_eq!(source(line), [""; 0], "{line}");
    }
    assert_eq!(faults_of_source("api/src/utils.rs", &"x\n".repeat(501)).len(), 3);
    assert_eq!(
        traits_of("pub trait Broker: Send {\nfn trait_of() {}\ntrait Two {").collect::<Vec<_>>(),
        ["Broker", "Two"]
    );
}

#[test]
fn a_forbidden_edge_is_found_however_it_is_written() {
    let faults = |manifest: &str| faults_of_manifest("api", &["model", "producer"], manifest).len();
    assert_eq!(
        faults("[dependencies]\nisobar-consumer.workspace = true\nisobar-model.workspace = true"),
        1
    );
    assert_eq!(faults("[dependencies.isobar-consumer]\npath = \"../consumer\""), 1);
    assert_eq!(faults("[dependencies]\nisobar-sim = { path = \"../sim\" }"), 1);
    assert_eq!(faults("[dev-dependencies]\nisobar-sim.workspace = true"), 0);
    assert_eq!(faults("[workspace.dependencies]\nisobar-consumer = { path = \"consumer\" }"), 0);
}
