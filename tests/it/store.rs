//! The conformance suite of the store: one set of promises, held by PostgreSQL and by SQLite.
//!
//! Each promise is a function that takes an empty store; `on_both!` makes of it a test for each
//! database, with a database of its own. The promises are in `commits` (results, ledger, counters),
//! `dead` (dead letters), `operations` (who did what, cancelling), `people` (users,
//! addresses, cards), `reads` (pages, names, history),
//! `nulls` (values that the upstream does not know), `ticks` (schedules), `durability` (commits of PostgreSQL) and `schema` (migrations, and every statement prepared); `model` commits
//! whatever comes to its mind.

mod commits;
mod dead_letters;
mod durability;
mod fixtures;
mod import_keys;
mod model;
mod nulls;
mod operations;
mod people;
mod reads;
mod schema;
mod ticks;

use isobar_store::Store;
use isobar_store::postgres::PostgresStore;
use isobar_store::sqlite::SqliteStore;

use super::harness::postgres::Postgres;

/// Enough for a commit and a few reads at the same time.
const CONNECTIONS: u32 = 4;

/// `promise` becomes `promise::on_postgres` and `promise::on_sqlite`.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        $(mod $promise {
            #[tokio::test]
            async fn on_postgres() {
                super::$promise(crate::store::Subject::postgres().await).await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                super::$promise(crate::store::Subject::sqlite()).await;
            }
        })+
    };
}
use on_both;

/// A store of its own, and a way to look past it into the database.
pub struct Subject {
    pub store: Store,
    behind: Behind,
}

enum Behind {
    Postgres { url: String },
    Sqlite { folder: tempfile::TempDir },
}

impl Subject {
    pub async fn postgres() -> Self {
        let url = Postgres::database().await.url;
        let store = PostgresStore::open(&url, CONNECTIONS).await;
        Self { store: Store::Postgres(store.expect("opens")), behind: Behind::Postgres { url } }
    }

    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = SqliteStore::open(&folder.path().join("isobar.db"));
        Self { store: Store::Sqlite(store.expect("opens")), behind: Behind::Sqlite { folder } }
    }

    /// What another process would open.
    pub async fn open_again(&self) -> Result<Store, isobar_store::StoreError> {
        match &self.behind {
            Behind::Postgres { url } => {
                PostgresStore::open(url, CONNECTIONS).await.map(Store::Postgres)
            }
            Behind::Sqlite { folder } => {
                SqliteStore::open(&folder.path().join("isobar.db")).map(Store::Sqlite)
            }
        }
    }

    /// Runs a statement that both databases understand.
    pub async fn execute(&self, sql: &'static str) {
        match &self.behind {
            Behind::Postgres { url } => {
                let mut connection = connect(url).await;
                let done = sqlx::raw_sql(sql).execute(&mut connection).await;
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            Behind::Sqlite { folder } => {
                let done = connect_file(folder).execute_batch(sql);
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
        }
    }

    /// The one text that a statement for both databases asks for.
    pub async fn ask(&self, sql: &'static str) -> Option<String> {
        match &self.behind {
            Behind::Postgres { url } => sqlx::query_scalar(sql)
                .fetch_one(&mut connect(url).await)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}")),
            Behind::Sqlite { folder } => connect_file(folder)
                .query_row(sql, [], |row| row.get(0))
                .unwrap_or_else(|error| panic!("{sql}: {error}")),
        }
    }
}

async fn connect(url: &str) -> sqlx::PgConnection {
    let connected = <sqlx::PgConnection as sqlx::Connection>::connect(url).await;
    connected.expect("connect")
}

fn connect_file(folder: &tempfile::TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.path().join("isobar.db")).expect("open the file")
}
