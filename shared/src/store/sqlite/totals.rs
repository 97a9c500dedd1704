//! How much of everything there is. The counts read whole tables: callers cache the answer.

use super::SqliteStore;
use crate::store::{Result, Totals};

sql! {
    TOTALS = r"
SELECT cities.*, jobs.*,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM search_history) AS searches
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs
    FROM jobs) AS jobs
";
}

impl SqliteStore {
    pub async fn totals(&self) -> Result<Totals> {
        self.read(|db| {
            db.prepare_cached(TOTALS)?.query_row([], |row| {
                let count = |name: &str| row.get::<_, i64>(name).map(|count| count as u64);
                Ok(Totals {
                    cities: count("cities")?,
                    snapshots: count("snapshots")?,
                    jobs: count("jobs")?,
                    unfinished_jobs: count("unfinished_jobs")?,
                    dead_letters: count("dead_letters")?,
                    searches: count("searches")?,
                })
            })
        })
        .await
    }
}
