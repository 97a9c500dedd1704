//! Searches: the history of city queries.

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::sql::Batch;
use crate::store::Store;

/// A city query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchEntry {
    pub id: i64,
    pub city_name: String,
    pub timestamp: DateTime<Utc>,
}

sql! {
    RECORD((String, DateTime<Utc>)) = r#"
INSERT INTO search_history (city_name, "timestamp") SELECT city_name, "timestamp" FROM given
"#;
    PAGE = r#"
SELECT id, city_name, "timestamp" FROM search_history WHERE id < $1 ORDER BY id DESC LIMIT $2
"#;
    CLEAR = "DELETE FROM search_history";
}

given! { (String, DateTime<Utc>) as search {
    city_name: text = strip_nul(&search.0),
    timestamp: timestamptz = search.1,
} }

row! { SearchEntry { id, city_name, timestamp } }

impl Store {
    pub async fn record_searches(&self, searches: &[(String, DateTime<Utc>)]) -> Result<()> {
        self.write(Batch::new(&RECORD, searches)).await.map(drop)
    }

    /// Newest first, below id `before` if given.
    pub async fn searches(&self, before: Option<i64>, limit: u32) -> Result<Vec<SearchEntry>> {
        self.all(&PAGE, args![before.unwrap_or(i64::MAX), limit]).await
    }

    pub async fn clear_searches(&self) -> Result<()> {
        self.run(&CLEAR, args![]).await.map(drop)
    }
}
