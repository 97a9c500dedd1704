//! The search history.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::PostgresStore;
use crate::nul::without_nul;
use crate::{Result, Search};

sql! {
    RECORD = r#"
INSERT INTO search_history (city_name, "timestamp")
SELECT * FROM unnest($1::text[], $2::timestamptz[])
"#;
    PAGE = r#"
SELECT id, city_name, "timestamp" FROM search_history WHERE id < $1 ORDER BY id DESC LIMIT $2
"#;
    CLEAR = "DELETE FROM search_history";
}

impl PostgresStore {
    pub async fn record_searches(&self, searches: &[(String, DateTime<Utc>)]) -> Result<()> {
        let names: Vec<_> = searches.iter().map(|(name, _)| without_nul(name)).collect();
        let times: Vec<_> = searches.iter().map(|(_, at)| *at).collect();
        sqlx::query(RECORD)
            .bind(names)
            .bind(times)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    pub async fn searches(&self, before: Option<i64>, limit: u32) -> Result<Vec<Search>> {
        let read = |row: &sqlx::postgres::PgRow| {
            Ok(Search {
                id: row.try_get("id")?,
                city_name: row.try_get("city_name")?,
                timestamp: row.try_get("timestamp")?,
            })
        };
        sqlx::query(PAGE)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn clear_searches(&self) -> Result<()> {
        sqlx::query(CLEAR).execute(&self.pool).await.map(drop).map_err(|error| self.failed(error))
    }
}
