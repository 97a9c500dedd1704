//! The search history.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::SqliteStore;
use super::columns::Time;
use crate::nul::without_nul;
use crate::{Result, Search};

sql! {
    RECORD = r#"INSERT INTO search_history (city_name, "timestamp") VALUES (?1, ?2)"#;
    PAGE = "SELECT * FROM search_history WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    CLEAR = "DELETE FROM search_history";
}

impl SqliteStore {
    pub async fn record_searches(&self, searches: &[(String, DateTime<Utc>)]) -> Result<()> {
        let searches = searches.to_vec();
        self.write(move |tx| {
            let mut record = tx.prepare_cached(RECORD)?;
            for (name, at) in &searches {
                record.execute(params![without_nul(name), Time(*at)])?;
            }
            Ok(())
        })
        .await
    }

    pub async fn searches(&self, before: Option<i64>, limit: u32) -> Result<Vec<Search>> {
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![before.unwrap_or(i64::MAX), limit], |row| {
                    Ok(Search {
                        id: row.get("id")?,
                        city_name: row.get("city_name")?,
                        timestamp: row.get::<_, Time>("timestamp")?.0,
                    })
                })?
                .collect()
        })
        .await
    }

    pub async fn clear_searches(&self) -> Result<()> {
        self.write(|tx| tx.prepare_cached(CLEAR)?.execute([]).map(drop)).await
    }
}
