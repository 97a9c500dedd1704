//! A disk is filled, or may only be read, in the middle of the work: it recovers by itself.
//!
//! Real disks, if small ones: what they refuse is what the kernel refuses. A worker has met the
//! trouble before it is taken away, and is never restarted. What else befalls a store is in `store`.

use reqwest::Method;
use serde_json::json;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::store::{Site, slow_sim};
use crate::harness::disk::Disk;
use crate::harness::http::{Http, send};
use crate::harness::isobar::Isobar;
use crate::harness::postgres::Postgres;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

/// Above what the files need at first, so that a test fills the rest.
const MEBIBYTES: u32 = 24;
/// Rows whose batches do not fit into a mebibyte.
const MANY_ROWS: u64 = 3_000;

#[tokio::test]
async fn the_disk_of_postgres_is_full() {
    let (disk, sim) = (Disk::of_mebibytes(MEBIBYTES).await, slow_sim().await);
    let postgres = Postgres::private().await;
    let database = postgres.database_on(disk.path()).await;
    let mut arena = Arena::set(Backend::Servers, sim.url()).await;
    arena = arena.with("DATABASE_URL", &database.url);
    arena.database = Some(database);
    let site = Site::begin(arena, sim).await;
    site.is_at_work().await;
    disk.fill();
    site.says("No space left on device").await;
    disk.empty();
    site.recovers().await;
}

#[tokio::test]
async fn the_disk_of_the_store_s_file_is_full() {
    let disk = Disk::of_mebibytes(MEBIBYTES).await;
    let site = with_file_on(&disk, "isobar.db").await;
    site.is_at_work().await;
    disk.fill();
    site.says("database or disk is full").await;
    disk.empty();
    site.recovers().await;
}

#[tokio::test]
async fn the_disk_of_the_broker_s_file_is_full() {
    let disk = Disk::of_mebibytes(MEBIBYTES).await;
    let site = with_file_on(&disk, "broker.db").await;
    site.is_at_work().await;
    disk.fill();
    site.says("the broker failed").await;
    disk.empty();
    site.recovers().await;
}

#[tokio::test]
async fn a_worker_that_found_its_file_read_only_writes_when_it_may() {
    let (disk, sim) = (Disk::of_mebibytes(MEBIBYTES).await, slow_sim().await);
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    lies_on(&disk, &arena, "isobar.db");
    arena.isobar(["migrate"]).run().await.expect_code(0);
    disk.remount("ro");
    let site = Site::of_migrated(arena, sim).await;
    site.says("the file is read-only").await;
    disk.remount("rw");
    site.recovers().await;
}

#[tokio::test]
async fn a_run_without_room_says_what_is_safe_and_goes_on_with_more() {
    let (small, sim) = (Disk::of_mebibytes(1).await, Sim::start(["--cities", "1"]).await);
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    lies_on(&small, &arena, "outbox.db");
    let source = Source::of(MANY_ROWS, 0);
    let produce = from_file(&arena, &source);
    let full = produce.run().await.expect_code(75);
    assert!(full.stderr.contains("are extracted and safe, run again"), "{}", full.stderr);
    // A larger disk, with what was on the small one.
    let larger = Disk::of_mebibytes(MEBIBYTES).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("outbox.db{suffix}");
        // A file that was closed in order has no companions.
        let _ = std::fs::copy(small.path().join(&file), larger.path().join(&file));
    }
    std::fs::remove_file(arena.dir.path().join("outbox.db")).expect("a link");
    lies_on(&larger, &arena, "outbox.db");
    let resumed = produce.run().await.expect_code(0).json();
    let id = resumed["job_id"].as_str().expect("an id").to_owned();
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_backup_without_room_leaves_nothing() {
    let (small, sim) = (Disk::of_mebibytes(1).await, Sim::start(["--cities", "1"]).await);
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    arena.isobar(["migrate"]).run().await.expect_code(0);
    let filler = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40000)
         INSERT INTO search_history (city_name, timestamp) SELECT 'a city', '2026-11-28' FROM n";
    let store = rusqlite::Connection::open(arena.dir.path().join("isobar.db")).expect("opens");
    store.execute_batch(filler).expect("fills");
    drop(store);
    let target = small.path().join("copy.db").to_string_lossy().into_owned();
    let full = arena.isobar(["backup"]).args([target]).run().await.expect_code(75);
    assert!(full.stderr.contains("the disk has no room for the backup"), "{}", full.stderr);
    assert_eq!(std::fs::read_dir(small.path()).expect("a folder").count(), 0);
}

/// Everything on one disk: commands end with 75, the API answers 503, health says why.
#[tokio::test]
async fn an_installation_without_room_tries_again_later() {
    let (disk, sim) = (Disk::of_mebibytes(16).await, Sim::start(["--cities", "1"]).await);
    let dir = tempfile::tempdir().expect("a folder");
    let data = disk.path().join("data").to_string_lossy().into_owned();
    let isobar = |args: &[&str]| {
        Isobar::new(dir.path())
            .env("ISOBAR_DATA_DIR", &data)
            .env("ISOBAR_OPEN_METEO_URL", sim.url())
            .env("ISOBAR_GEOCODING_URL", sim.url())
            .args(args.iter().copied())
    };
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let serve = isobar(&listen).spawn();
    let said = serve.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let http = Http::new(said.trim_start_matches("listening on "));
    let file = dir.path().join("cities.csv");
    std::fs::write(&file, "city\nParis\nBerlin\n").expect("writes");
    let file = file.to_string_lossy().into_owned();
    let produce = ["produce", "--csv", &file, "--max-wait", "1s"];
    let upload = async || {
        let body = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\ncity\nRome\n\r\n--b--\r\n";
        let request = http.request(Method::POST, "/bulk/import");
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(body);
        send(request).await.expect("an answer")
    };
    disk.fill();
    // The first one makes the outbox; a server that finds no files makes all of them.
    let other = disk.path().join("other").to_string_lossy().into_owned();
    for (args, folder) in
        [(&produce[..], &data), (&["verify"], &data), (&["status"], &data), (&listen, &other)]
    {
        let full = isobar(args).env("ISOBAR_DATA_DIR", folder).run().await;
        assert_eq!(full.code, 75, "{args:?}: {}{}", full.stdout, full.stderr);
    }
    let refused = upload().await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (503, &json!("disk_full")));
    assert!(refused.body.contains("the disk of the server is full"), "{}", refused.body);
    let health = http.get("/healthz").await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (503, &json!("fail")));
    assert_eq!(health.json()["components"]["disk"], "down");
    let doctor = isobar(&["doctor"]).run().await;
    assert!(doctor.stdout.contains("is full; nothing is lost"), "{}", doctor.stdout);
    disk.empty();
    assert_eq!(upload().await.status, 202);
    assert_eq!(http.get("/healthz").await.status, 200);
    isobar(&produce).run().await.expect_code(0);
    let done = async || {
        isobar(&["consume", "--drain"]).run().await.expect_code(0);
        let jobs = http.get("/bulk/jobs").await.json();
        let jobs = jobs["items"].as_array().expect("jobs").clone();
        jobs.len() == 2 && jobs.iter().all(|job| job["status"] == "done")
    };
    until(PATIENCE, "both jobs are done", done).await;
    isobar(&["verify"]).run().await.expect_code(0);
}

impl Site {
    async fn says(&self, words: &str) {
        self.worker.wait_for_line(|line| line.contains(words), PATIENCE).await;
    }
}

async fn with_file_on(disk: &Disk, file: &str) -> Site {
    let sim = slow_sim().await;
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    lies_on(disk, &arena, file);
    Site::begin(arena, sim).await
}

/// The arena's file is a link to one on this disk.
fn lies_on(disk: &Disk, arena: &Arena, file: &str) {
    let link = arena.dir.path().join(file);
    std::os::unix::fs::symlink(disk.path().join(file), link).expect("links");
}
