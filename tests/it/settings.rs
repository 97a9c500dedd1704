//! Settings as people write them: a `.env` by hand, misspelt names, values that do not fit, URLs
//! with secrets. Every command reads them in the same way; `schedule --list` needs nothing else.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::http::Http;
use crate::harness::isobar::{Finished, Isobar};
use crate::harness::port::free_port;
use crate::harness::wait::PATIENCE;

const EXAMPLE: &str = include_str!("../../.env.example");
const BY_HAND: &str = "# Written by hand\nexport ISOBAR_TIMEZONE=\"Europe/Berlin\"\n\
    ISOBAR_SYNC_CRON=5 */3 * * *\nISOBAR_USERS_CRON='@every 300s'   # quotes and a comment\n\n\
    ISOBAR_MAX_UPLOAD=256 MiB\nISOBAR_API_KEY=pa$$w0rd-$USER\nISOBAR_BATCHSIZE=250\n";

fn folder(dotenv: &str) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    std::fs::write(dir.path().join(".env"), dotenv).expect("writes");
    dir
}

async fn list(dir: &Path, pairs: &[(&str, &str)]) -> Finished {
    let list = Isobar::new(dir).args(["schedule", "--list"]);
    pairs.iter().fold(list, |list, (name, value)| list.env(name, *value)).run().await
}

/// Every line of the example that sets something, as a person uncomments them all.
fn uncommented() -> String {
    let is_setting = |line: &str| {
        let name = line.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let bare =
        |line: &str| line.strip_prefix('#').filter(|bare| is_setting(bare)).map(str::to_owned);
    let lines = EXAMPLE.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_example_can_be_uncommented_as_a_whole() {
    let text = uncommented();
    assert!(text.matches("\nISOBAR_").count() > 40, "{text}");
    let dir = folder(&text);
    let listed = list(dir.path(), &[]).await.expect_code(0);
    assert!(!listed.stderr.contains("warning") && !listed.stderr.contains("WARN"), "{listed:?}");
    for name in ["sync", "users", "addresses", "cards"] {
        assert!(listed.stdout.contains(name), "{listed:?}");
    }
}

#[tokio::test]
async fn a_file_written_by_hand_is_read_letter_by_letter() {
    let dir = folder(BY_HAND);
    let listed = list(dir.path(), &[("USER", "root")]).await.expect_code(0);
    assert!(listed.stdout.contains("sync") && listed.stdout.contains("users"), "{listed:?}");
    // A key that the file does not have is refused; its own is taken as written.
    let mut server = Isobar::new(dir.path())
        .env("USER", "root")
        .args(["serve", "--listen", "localhost:0"])
        .spawn();
    let line = server.wait_for_line(|line| line.contains("listening on"), PATIENCE).await;
    let url = line.split("listening on ").nth(1).expect("an address").trim().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    for (key, status) in [("pa$$w0rd-$USER", 200), ("pa$$w0rd-root", 401), ("paw0rd-", 401)] {
        let http = Http::with_header(url.clone(), "x-api-key", key);
        assert_eq!(http.get("/stream").await.status.as_u16(), status, "{key}");
    }
    server.terminate();
    assert_eq!(server.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn every_command_names_an_unknown_setting() {
    let dir = folder(BY_HAND);
    for command in [
        &["schedule", "--list"][..],
        &["produce", "--dry-run"],
        &["doctor"],
        &["openapi"],
        &["completions", "bash"],
        &["status"],
        &["migrate"],
    ] {
        let ran = Isobar::new(dir.path()).args(command.iter().copied()).run().await;
        let expected =
            "line 8: ISOBAR_BATCHSIZE is unknown and has no effect: do you mean ISOBAR_BATCH_SIZE?";
        assert!(ran.stderr.contains(expected), "{command:?}: {ran:?}");
    }
    let dir = TempDir::new().expect("a folder");
    let listed = list(dir.path(), &[("ISOBAR_TIME_ZONE", "UTC"), ("ISOBAR_SYNC_CRON", "@daily")])
        .await
        .expect_code(0);
    assert!(listed.stderr.contains("do you mean ISOBAR_TIMEZONE?"), "{listed:?}");
    let json = Isobar::new(dir.path()).env("ISOBAR_TIME_ZONE", "UTC").args(["doctor", "--json"]);
    let findings = json.run().await.json()["findings"].to_string();
    assert!(findings.contains("do you mean ISOBAR_TIMEZONE?"), "{findings}");
}

#[tokio::test]
async fn a_bad_line_is_named_without_its_value() {
    for (text, expected) in [
        (
            "ISOBAR_BATCH_SIZE=250\n\nremember to change the key\nISOBAR_PAGE_LIMIT=50\n",
            ".env line 3: ",
        ),
        ("ISOBAR_API_KEY='s3cret\n", ".env line 1: ISOBAR_API_KEY: "),
        ("\nISOBAR_PAGE_LIMIT=many\n", ".env line 2: ISOBAR_PAGE_LIMIT: "),
        ("\n\nREDIS_URL=redis://:s3/cret@cache:6379\n", ".env line 3: REDIS_URL: "),
        ("ISOBAR_API_KEY_FILE=/dev/null\n", ".env line 1: ISOBAR_API_KEY_FILE: "),
    ] {
        let refused = list(folder(text).path(), &[]).await.expect_code(78);
        assert!(refused.stderr.contains(expected), "{refused:?}");
        assert!(
            !refused.stderr.contains("s3") && !refused.stderr.contains("remember"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn bad_values_are_refused_with_a_good_one() {
    let dir = TempDir::new().expect("a folder");
    for (name, value) in [
        ("ISOBAR_LOG", "shout"),
        ("ISOBAR_LOG", "isobar_consumer=loud"),
        ("ISOBAR_LISTEN", "8000"),
        ("ISOBAR_LISTEN", "isobar.example:8000"),
        ("ISOBAR_BATCH_SIZE", "many"),
        ("ISOBAR_BATCH_SIZE", "0"),
        ("ISOBAR_CACHE_TTL", "0s"),
        ("ISOBAR_CONCURRENCY", "1.5"),
        ("ISOBAR_STREAM_HIGH_WATER", "100k"),
        ("ISOBAR_JOB_RETENTION", "a month"),
        ("ISOBAR_MAX_UPLOAD", "big"),
        ("ISOBAR_QUOTA", "600 per minute"),
        ("ISOBAR_RATE_LIMIT", "600"),
        ("ISOBAR_SOURCE_BREAKER", "20/600s"),
        ("ISOBAR_SOURCE_BREAKER", "many/600s/600s"),
        ("ISOBAR_FRESH_FOR", "never"),
        ("ISOBAR_SYNC_CRON", "every hour"),
        ("ISOBAR_TIMEZONE", "Berlin"),
        ("ISOBAR_CITY_SOURCE_URL", "cities.example"),
        ("ISOBAR_ALLOWED_HOSTS", "https://weather.example"),
        ("REDIS_URL", "cache:6379"),
        ("DATABASE_URL", "weather.db"),
        ("DATABASE_URL", "sqlite:///:memory:"),
    ] {
        let refused = list(dir.path(), &[(name, value)]).await.expect_code(78);
        let said = &refused.stderr;
        assert!(said.contains(name) && said.contains("for example"), "{name}={value}: {said}");
    }
    for (name, value, one_of) in [
        ("ISOBAR_MISFIRE", "twice", "once, skip"),
        ("ISOBAR_LOG_FORMAT", "xml", "pretty, json"),
        ("ISOBAR_WEATHER_PROVIDER", "openmeteo", "open-meteo, openweather"),
    ] {
        let refused = list(dir.path(), &[(name, value)]).await.expect_code(78);
        assert!(refused.stderr.contains(one_of), "{refused:?}");
    }
}

#[tokio::test]
async fn a_relative_store_is_in_the_working_folder() {
    for url in ["sqlite:///./weather.db", "sqlite+aiosqlite:///weather.db", "sqlite://weather.db"] {
        let dir = TempDir::new().expect("a folder");
        let migrate = Isobar::new(dir.path()).args(["migrate"]);
        migrate.env("DATABASE_URL", url).run().await.expect_code(0);
        assert!(dir.path().join("weather.db").exists(), "{url}");
    }
    let dir = TempDir::new().expect("a folder");
    let absolute = format!("sqlite:///{}", dir.path().join("there.db").display());
    let migrate = Isobar::new(dir.path()).args(["migrate"]);
    migrate.env("DATABASE_URL", absolute.replace(":///", ":////")).run().await.expect_code(0);
    assert!(dir.path().join("there.db").exists());
}

#[tokio::test]
async fn secrets_in_urls_never_appear() {
    let dir = TempDir::new().expect("a folder");
    let nothing = free_port();
    for (name, value) in [
        ("DATABASE_URL", format!("postgres://s3cret:s3cret@127.0.0.1:{nothing}/app")),
        ("DATABASE_URL", "postgres://app:12/s3cret@db.example:5432/app".into()),
        ("DATABASE_URL", "postgres://app:12#s3cret@db.example:5432/app".into()),
        ("DATABASE_URL", "postgres://app:s3cret@db.example:port/app".into()),
        ("REDIS_URL", format!("redis://s3cret@127.0.0.1:{nothing}")),
        ("REDIS_URL", format!("redis://:s3cret@127.0.0.1:{nothing}/0?s3cret=s3cret")),
        ("REDIS_URL", "redis://:12?s3cret@cache.example:6379".into()),
        ("ISOBAR_CITY_SOURCE_URL", format!("http://s3cret@127.0.0.1:{nothing}/s?key=s3cret")),
        ("ISOBAR_CITY_SOURCE_URL", "s3cret@cities.example".into()),
        ("ISOBAR_OPEN_METEO_URL", format!("http://127.0.0.1:{nothing}/?apikey=s3cret")),
    ] {
        for command in
            [&["doctor"][..], &["doctor", "--json"], &["status"], &["produce", "--limit=1"]]
        {
            let ran = Isobar::new(dir.path())
                .env(name, value.clone())
                .env("ISOBAR_BROKER", if name == "REDIS_URL" { "redis" } else { "embedded" })
                .env("ISOBAR_REDIS_RETRIES", "1")
                .env("ISOBAR_SOURCE_ATTEMPTS", "1")
                .args(command.iter().copied())
                .run()
                .await;
            assert!(!(ran.stdout.clone() + &ran.stderr).contains("s3cret"), "{command:?}: {ran:?}");
        }
    }
}
