//! How much of everything there is. The counts read whole tables: callers cache the answer.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use crate::store::{Result, Totals};

sql! {
    TOTALS = r"
SELECT cities, snapshots, jobs, unfinished_jobs,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM search_history) AS searches
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS of_cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs
    FROM jobs) AS of_jobs
";
}

impl PostgresStore {
    pub async fn totals(&self) -> Result<Totals> {
        sqlx::query(TOTALS)
            .fetch_one(&self.pool)
            .await
            .and_then(|row| read(&row))
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<Totals> {
    let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
    Ok(Totals {
        cities: count("cities")?,
        snapshots: count("snapshots")?,
        jobs: count("jobs")?,
        unfinished_jobs: count("unfinished_jobs")?,
        dead_letters: count("dead_letters")?,
        searches: count("searches")?,
    })
}
