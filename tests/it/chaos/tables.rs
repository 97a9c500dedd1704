//! Rows of either database as text, for checks that must not depend on Isobar's own reading.

use sqlx::{Connection, PgConnection, Row};

use super::arena::Arena;

/// A connection of its own to an arena's store.
pub enum Tables {
    Postgres(Box<PgConnection>),
    File(rusqlite::Connection),
}

/// A row whose columns the statement has cast to text.
pub type TextRow = Vec<Option<String>>;

impl Tables {
    pub async fn of(arena: &Arena) -> Self {
        if let Some(database) = &arena.database {
            let connection = PgConnection::connect(&database.url).await.expect("connects");
            return Self::Postgres(Box::new(connection));
        }
        let path = arena.dir.path().join("isobar.db");
        Self::File(rusqlite::Connection::open(path).expect("opens"))
    }

    pub async fn rows(&mut self, sql: &str) -> Vec<TextRow> {
        match self {
            Self::Postgres(connection) => {
                let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
                    .fetch_all(&mut **connection)
                    .await
                    .unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|at| row.try_get(at).expect("text")).collect())
                    .collect()
            }
            Self::File(db) => {
                let mut select = db.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
                let columns = select.column_count();
                let rows = select
                    .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
                    .expect("runs");
                rows.collect::<rusqlite::Result<_>>().expect("text")
            }
        }
    }

    /// The rows of a statement that ends where an id is to stand.
    pub async fn rows_of(&mut self, sql: &str, id: &str) -> Vec<TextRow> {
        assert!(id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{id:?} is no id");
        self.rows(&format!("{sql}'{id}'")).await
    }

    pub async fn count(&mut self, sql: &str) -> u64 {
        let rows = self.rows(&format!("SELECT CAST(({sql}) AS TEXT)")).await;
        rows[0][0].as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
