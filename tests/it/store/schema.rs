//! The schema: brought up once however many start at a time, never by an older version, and every
//! statement of ours prepared against it.

use isobar_settings::Settings;
use isobar_store::postgres::{self, PostgresStore};
use isobar_store::sqlite::{self, SqliteStore};
use isobar_store::{Store, StoreError};
use sqlx::Executor;

use super::{Behind, CONNECTIONS, Subject, connect, connect_file, on_both};
use crate::harness::port::free_port;
use crate::harness::postgres::Postgres;

/// More than any deployment starts at the same moment on one host.
const OPENERS: usize = 8;

on_both!(a_newer_schema_is_refused_and_left_alone);

async fn a_newer_schema_is_refused_and_left_alone(subject: Subject) {
    match &subject.behind {
        Behind::Postgres { .. } => {
            subject.execute("INSERT INTO isobar_schema VALUES (900)").await;
        }
        Behind::Sqlite { .. } => subject.execute("PRAGMA user_version = 900").await,
    }
    let refused = subject.open_again().await.expect_err("refused");
    assert!(matches!(refused, StoreError::NewerSchema { found: 900, .. }), "{refused:?}");
}

#[tokio::test]
async fn eight_processes_bring_up_one_postgres() {
    let url = Postgres::database().await.url;
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..OPENERS {
        let url = url.clone();
        openers.spawn(async move { PostgresStore::open(&url, 1).await.map(drop) });
    }
    for opened in openers.join_all().await {
        opened.expect("opens");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn eight_processes_bring_up_one_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("deeper").join("isobar.db");
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..OPENERS {
        let path = path.clone();
        openers.spawn_blocking(move || SqliteStore::open(&path).map(drop));
    }
    for opened in openers.join_all().await {
        opened.expect("opens");
    }
}

#[tokio::test]
async fn every_statement_is_understood_by_postgres() {
    let subject = Subject::postgres().await;
    let Behind::Postgres { url } = &subject.behind else {
        unreachable!("it is PostgreSQL");
    };
    let mut connection = connect(url).await;
    for sql in postgres::statements() {
        let prepared = (&mut connection).prepare(sqlx::SqlStr::from_static(sql)).await;
        prepared.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[test]
fn every_statement_is_understood_by_sqlite() {
    let subject = Subject::sqlite();
    let Behind::Sqlite { folder } = &subject.behind else {
        unreachable!("it is SQLite");
    };
    let connection = connect_file(folder);
    for sql in sqlite::statements() {
        let prepared = connection.prepare(sql);
        prepared.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_waited_for_and_a_wrong_name_is_not() {
    let nobody = format!("postgres://isobar:secret@127.0.0.1:{}/isobar", free_port());
    let error = PostgresStore::open(&nobody, CONNECTIONS).await;
    let error = error.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));

    let there = Postgres::database().await.url;
    let (server, _) = there.rsplit_once('/').expect("a database");
    let url = format!("{server}/atlantis");
    let error = PostgresStore::open(&url, CONNECTIONS).await;
    let error = error.expect_err("no such database");
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");

    let folder = tempfile::tempdir().expect("temporary folder");
    let error = SqliteStore::open(folder.path()).expect_err("a folder is no file");
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_says_what_and_where_it_is_without_secrets() {
    let subject = Subject::postgres().await;
    assert_eq!(subject.store.kind(), "postgres");
    let location = subject.store.location();
    assert!(location.starts_with("postgres://127.0.0.1:"), "{location}");
    assert!(!location.contains('@'));

    let folder = tempfile::tempdir().expect("temporary folder");
    let mut settings = Settings::defaults();
    settings.data_dir = isobar_settings::values::PathSetting(folder.path().to_owned());
    let store = Store::open(&settings).await.expect("opens");
    assert_eq!(store.kind(), "sqlite");
    let file = folder.path().join("isobar.db");
    assert_eq!(store.location(), format!("sqlite://{}", file.display()));
}
