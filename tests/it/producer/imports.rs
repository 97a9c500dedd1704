//! Uploads and syncs, whoever accepted them and whatever was killed meanwhile.
//!
//! In this process, over the embedded broker: the API's side of it is tested with the API.

use std::sync::Arc;

use isobar_broker::{Broker, EntryId, Lane, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_producer::outbox::{Outbox, OutboxLock};
use isobar_producer::spool::Spool;
use isobar_producer::{AcceptedJob, ImportError, Imports, NewImport};
use isobar_settings::{Environment, Settings};
use isobar_store::Store;
use isobar_store::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::wait::{PATIENCE, until};

struct Host {
    settings: Arc<Settings>,
    broker: Broker,
    imports: Imports,
    shutdown: CancellationToken,
    roles: JoinSet<anyhow::Result<()>>,
    _dir: TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let environment = Environment::empty()
            .with("ISOBAR_DATA_DIR", dir.path().to_string_lossy())
            .with("ISOBAR_GAZETTEER_LIMIT", "700");
        let settings = Arc::new(Settings::load(&environment).expect("settings"));
        let broker = Broker::open(&settings).expect("a broker");
        let store = SqliteStore::open(&dir.path().join("isobar.db")).map(Store::Sqlite);
        let store = store.expect("a store");
        let imports = Imports::open(Arc::clone(&settings), broker.clone(), store).expect("imports");
        Self {
            settings,
            broker,
            imports,
            shutdown: CancellationToken::new(),
            roles: JoinSet::new(),
            _dir: dir,
        }
    }

    fn work(&mut self) {
        let (imports, shutdown) = (self.imports.clone(), self.shutdown.clone());
        self.roles.spawn(async move { imports.work(shutdown).await });
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.roles.join_next().await {
            ended.expect("no panic").expect("an orderly end");
        }
    }

    async fn upload(&self, text: &str, key: Option<&str>) -> Result<AcceptedJob, ImportError> {
        let mut arriving = self.imports.spool().await?;
        arriving.write(text.as_bytes()).await?;
        let import = NewImport {
            name: "cities.csv".to_owned(),
            force: false,
            idempotency_key: key.map(str::to_owned),
            ..NewImport::default()
        };
        self.imports.accept(arriving, import).await
    }

    async fn in_stream(&self) -> usize {
        let topic = Topic::new(&self.settings.stream, &self.settings.group);
        match self.broker.peek(&topic, Lane::Tasks, EntryId::ZERO, 10_000).await {
            Ok(entries) => entries.len(),
            // Nobody has made the stream yet.
            Err(_) => 0,
        }
    }

    async fn until_in_stream(&self, count: usize) {
        until(PATIENCE, "the tasks are in the stream", async || self.in_stream().await == count)
            .await;
    }

    fn spooled(&self) -> usize {
        std::fs::read_dir(self.settings.data_file("spool")).expect("a folder").count()
    }
}

#[tokio::test]
async fn an_upload_is_extracted_and_sent_and_its_file_removed() {
    let mut host = Host::new();
    host.work();
    let accepted = host.upload("city\nParis\nBerlin\n", None).await.expect("accepted");
    host.until_in_stream(2).await;
    until(PATIENCE, "the file is removed", async || host.spooled() == 0).await;
    let summary = host.imports.summary(accepted.job_id).await.expect("reads").expect("known");
    assert_eq!((summary.tasks, summary.kind.as_str()), (2, "import"));
    host.stop().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_job_and_never_another_file() {
    let host = Host::new();
    let first = host.upload("city\nParis\n", Some("k")).await.expect("accepted");
    let again = host.upload("city\nParis\n", Some("k")).await.expect("accepted");
    assert_eq!((first.job_id, first.is_new, again.is_new), (again.job_id, true, false));
    let other = host.upload("city\nBerlin\n", Some("k")).await;
    assert!(matches!(other, Err(ImportError::KeyReused)));
    let without = host.upload("city\nParis\n", None).await.expect("accepted");
    assert_ne!(without.job_id, first.job_id);
    assert_eq!(host.spooled(), 4, "two files with what their jobs need, and no left-over");
}

#[tokio::test]
async fn a_spooled_file_of_which_the_outbox_never_heard_is_found() {
    let mut host = Host::new();
    // Killed between the rename and the outbox.
    let spool = Spool::open(&host.settings.data_file("spool")).expect("opens");
    let mut incoming = spool.create().expect("creates");
    incoming.write(b"city\nParis\n").expect("writes");
    let upload = incoming.upload(PipelineName::Weather, "cities.csv", "key:1", false);
    incoming.finish(&upload).expect("finishes");
    host.work();
    host.until_in_stream(1).await;
    host.stop().await;
}

#[tokio::test]
async fn who_does_not_hold_the_lock_accepts_all_the_same_and_takes_over() {
    let mut host = Host::new();
    let lock = OutboxLock::take(&host.settings.imports_path()).expect("free");
    host.work();
    host.upload("city\nParis\n", None).await.expect("accepted");
    assert_eq!(host.in_stream().await, 0);
    drop(lock);
    host.until_in_stream(1).await;
    host.stop().await;
}

#[tokio::test]
async fn a_file_without_rows_fails_its_job_and_stops_nothing() {
    let mut host = Host::new();
    host.work();
    let bad = host.upload("city,lat,lon\n,,\n", None).await.expect("accepted");
    host.upload("city\nParis\n", None).await.expect("accepted");
    host.until_in_stream(1).await;
    let outbox = Outbox::open(&host.settings.imports_path()).expect("opens");
    until(PATIENCE, "the bad one is sealed", async || {
        let job = outbox.summary(bad.job_id).await.expect("reads").expect("known");
        job.error.is_some_and(|error| error.contains("no rows"))
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn a_refused_file_leaves_its_key_for_the_corrected_one() {
    let host = Host::new();
    let refused = host.upload("foo,bar\n1,2\n", Some("k")).await.expect_err("refused");
    assert!(refused.to_string().ends_with("the first line has: foo, bar"), "{refused}");
    assert_eq!(host.spooled(), 0);
    host.upload("city,bar\nParis,2\n", Some("k")).await.expect("accepted");
}

#[tokio::test]
async fn a_running_sync_answers_with_its_job_and_a_finished_one_makes_room() {
    let mut host = Host::new();
    let first = host.imports.sync(false).await.expect("started");
    assert_eq!(host.imports.sync(false).await.expect("known").job_id, first.job_id);
    host.work();
    host.until_in_stream(700).await;
    let again = host.imports.sync(false).await.expect("known");
    assert_eq!((again.job_id, again.is_new), (first.job_id, false), "its tasks are not done");
    let topic = Topic::new(&host.settings.stream, &host.settings.group);
    for lane in Lane::BOTH {
        let entries = host.broker.peek(&topic, lane, EntryId::ZERO, 10_000).await.expect("reads");
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        host.broker.ack(&topic, lane, &ids).await.expect("acknowledges");
    }
    // What was sent is noted with the next transaction, half a second later at the most.
    until(PATIENCE, "the next sync is a new job", async || {
        host.imports.sync(false).await.expect("started").job_id != first.job_id
    })
    .await;
    host.stop().await;
}
