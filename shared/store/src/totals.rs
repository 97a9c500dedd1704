//! TableCounts: row counts by table, jobs and dead letters by pipeline, failures by code.
//!
//! A further table is one line of `table_counts!`: its field, its name in the API, its count.
//! Does not: cache. The counts read whole tables, so callers keep the answer for a while.

use std::collections::HashMap;

use serde::Serialize;

use crate::error::Result;
use crate::job::JobStatus;
use crate::row::{FromRow, Row};
use crate::store::Store;
use isobar_model::pipeline::PipelineName;

/// `field: "table" = "count"` makes the field, its column of the statement and its name.
macro_rules! table_counts {
    ($($(#[$doc:meta])* $field:ident: $table:literal = $count:literal;)+) => {
        /// Row counts, a field a table.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct TableCounts { $($(#[$doc])* pub $field: u64,)+ }

        row! { TableCounts { $($field),+ } }

        impl TableCounts {
            /// Each table with its count.
            pub fn tables(&self) -> impl Iterator<Item = (&'static str, u64)> {
                let tables = [$(($table, self.$field)),+];
                tables.into_iter().filter(|(table, _)| !table.is_empty())
            }
        }

        /// The columns of the statement; a list in SQL must not end with a comma.
        macro_rules! counts {
            () => { concat!($($count, " AS ", stringify!($field), ",\n",)+ "0 AS none") };
        }
    };
}

table_counts! {
    cities: "cities" = "cities";
    snapshots: "weather" = "snapshots";
    jobs: "jobs" = "jobs";
    unfinished_jobs: "" = "unfinished_jobs";
    /// By the counters of the jobs, because counting the ledger would take seconds.
    ledger_rows: "job_tasks" = "ledger_rows";
    dead_letters: "dead_letters" = "(SELECT count(*) FROM dead_letters)";
    searches: "search_history" = "(SELECT count(*) FROM search_history)";
    operations: "operations" = "(SELECT count(*) FROM operations)";
    ticks: "schedule_ticks" = "(SELECT count(*) FROM schedule_ticks)";
    air_quality: "air_quality" = "(SELECT count(*) FROM air_quality)";
    users: "users" = "(SELECT count(*) FROM users)";
    addresses: "addresses" = "(SELECT count(*) FROM addresses)";
    cards: "credit_cards" = "(SELECT count(*) FROM credit_cards)";
}

/// The jobs and dead letters of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineTotals {
    /// By status; a status without jobs is absent.
    pub jobs: HashMap<JobStatus, u64>,
    pub dead_letters: u64,
}

/// Failures of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
}

sql! {
    TOTALS = concat!("SELECT ", counts!(), r"
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS of_cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs,
        coalesce(sum(processed - duplicates) FILTER (WHERE ledger = 'kept'), 0)::bigint
            AS ledger_rows
    FROM jobs) AS of_jobs
");
    JOBS = "SELECT pipeline, status, count(*) AS count FROM jobs GROUP BY pipeline, status";
    DEAD_LETTERS = r"
SELECT pipeline, count(*) AS count FROM dead_letters GROUP BY pipeline
";
    FAILURES = r"
SELECT error_code AS code, count(*) AS count, coalesce(max(last_error), '') AS sample
FROM job_tasks WHERE status = 'failed' AND error_code IS NOT NULL
GROUP BY error_code ORDER BY count(*) DESC, error_code LIMIT $1
";
}

row! { FailureGroup { code, count, sample } }

impl FromRow for (PipelineName, JobStatus, u64) {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok((row.get("pipeline")?, row.get("status")?, row.get("count")?))
    }
}

impl FromRow for (PipelineName, u64) {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok((row.get("pipeline")?, row.get("count")?))
    }
}

impl Store {
    pub async fn totals(&self) -> Result<TableCounts> {
        Ok(self.one(&TOTALS, args![]).await?.unwrap_or_default())
    }

    /// The jobs and dead letters of each stream; a stream without any is absent.
    pub async fn pipeline_totals(&self) -> Result<HashMap<PipelineName, PipelineTotals>> {
        let work = async {
            let mut totals: HashMap<PipelineName, PipelineTotals> = HashMap::new();
            for (pipeline, status, count) in self.all(&JOBS, args![]).await? {
                let jobs = &mut totals.entry(PipelineName::stream(pipeline)).or_default().jobs;
                *jobs.entry(status).or_default() += count;
            }
            for (pipeline, count) in self.all(&DEAD_LETTERS, args![]).await? {
                let pipeline = PipelineName::stream(pipeline);
                totals.entry(pipeline).or_default().dead_letters += count;
            }
            Ok(totals)
        };
        self.timed(work).await
    }

    /// The ledger's failures by code, the most frequent first.
    pub async fn failures(&self, limit: u32) -> Result<Vec<FailureGroup>> {
        self.all(&FAILURES, args![limit]).await
    }
}
