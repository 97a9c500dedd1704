//! Dead letters: tasks that failed for good, written in the ledger's transaction.
//!
//! Guarantees: the entry of a letter (`source`) is unique, so a repeated commit adds no second
//! letter. A payload is stored byte for byte.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::sql::{Batch, Sql};
use crate::store::Store;
use crate::value::Value;
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::pipeline::PipelineName;

/// Dead letters that one transaction discards.
const DISCARD_PAGE: u32 = 500;

/// A task that failed for good, with its reason and its content, so that it can be republished.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Given by the store; ignored when written.
    pub id: i64,
    /// The pipeline of the stream that held it.
    pub pipeline: PipelineName,
    /// Absent where it could not be decoded.
    pub task_id: Option<TaskId>,
    pub job_id: Option<JobId>,
    pub city_id: Option<CityId>,
    pub code: String,
    pub reason: String,
    /// The entry as it came, byte for byte where it could not be decoded.
    pub payload: Vec<u8>,
    pub deliveries: u32,
    pub attempts: u32,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    /// The entry: `tasks/<id>` of an epoch.
    pub source: String,
}

/// Selects dead letters; an absent field restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterFilter {
    pub code: Option<String>,
    pub job_id: Option<JobId>,
    pub id: Option<i64>,
}

/// Dead letters of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterGroup {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            r"
SELECT id, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM dead_letters WHERE ",
            $rest
        )
    };
}

sql! {
    /// Adds no letter for a task that another entry has ended, so a re-sent entry adds none (I5).
    ADD(DeadLetter) = r"
INSERT INTO dead_letters (task_id, job_id, city_id, code, reason, payload, deliveries, attempts,
    first_seen, last_seen, source, pipeline)
SELECT task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM given
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS ended
    WHERE ended.job_id = given.job_id AND ended.task_id = given.task_id
        AND substr(given.source, length(given.source) - length(ended.entry))
            <> '/' || ended.entry)
ON CONFLICT (source) DO NOTHING
";
    PAGE = select!("id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3");
    PAGE_OF_CODE = select!("code = $4 AND id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3");
    PAGE_OF_JOB = select!(r"
    job_id = $4 AND ($5::text IS NULL OR code = $5) AND id BETWEEN $1 AND $2
ORDER BY id DESC LIMIT $3
");
    PAGE_OF_CITY = select!("city_id = $1 ORDER BY id DESC LIMIT $2");
    GROUPS = r"
SELECT code, count(*) AS count, max(reason) AS sample, min(first_seen) AS oldest,
    max(last_seen) AS newest
FROM dead_letters WHERE $1::uuid IS NULL OR job_id = $1
GROUP BY code ORDER BY count(*) DESC, code
";
    COUNT = "SELECT count(*) AS count FROM dead_letters WHERE id BETWEEN $1 AND $2";
    COUNT_OF_CODE = r"
SELECT count(*) AS count FROM dead_letters WHERE code = $3 AND id BETWEEN $1 AND $2
";
    COUNT_OF_JOB = r"
SELECT count(*) AS count FROM dead_letters
WHERE job_id = $3 AND ($4::text IS NULL OR code = $4) AND id BETWEEN $1 AND $2
";
    DELETE = "DELETE FROM dead_letters WHERE id = ANY($1::bigint[])";
}

given! { DeadLetter as row {
    task_id: uuid = row.task_id,
    job_id: uuid = row.job_id,
    city_id: bigint = row.city_id,
    code: text = strip_nul(&row.code),
    reason: text = strip_nul(&row.reason),
    payload: bytea = &row.payload,
    deliveries: integer = row.deliveries,
    attempts: integer = row.attempts,
    first_seen: timestamptz = row.first_seen,
    last_seen: timestamptz = row.last_seen,
    source: text = &row.source,
    pipeline: text = row.pipeline.as_str(),
} }

row! { DeadLetter {
    id, pipeline, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source,
} }
row! { DeadLetterGroup { code, count, sample, oldest, newest } }

pub(crate) fn batch(letters: &[DeadLetter]) -> Batch<'_> {
    Batch::sorted(&ADD, letters, |row| row.source.clone())
}

impl DeadLetterFilter {
    /// The lowest and the highest id that it selects, of those below `before` if given.
    fn ids(&self, before: Option<i64>) -> (i64, i64) {
        let highest = before.map_or(i64::MAX, |before| before.saturating_sub(1));
        match self.id {
            None => (i64::MIN, highest),
            Some(id) => (id, highest.min(id)),
        }
    }

    /// The statement that serves it, of those for all, a code, a job; and its further arguments.
    fn choose(&self, [all, of_code, of_job]: [&'static Sql; 3]) -> (&'static Sql, Vec<Value<'_>>) {
        let code = self.code.as_deref().map(strip_nul);
        match (self.job_id, code) {
            (Some(job), code) => (of_job, args![job, code]),
            (None, Some(code)) => (of_code, args![code]),
            (None, None) => (all, args![]),
        }
    }
}

/// `code upstream_error, job 6fa1…` for the audit log; `all` without a restriction.
impl fmt::Display for DeadLetterFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            self.code.as_ref().map(|code| format!("code {code}")),
            self.job_id.map(|job| format!("job {job}")),
            self.id.map(|id| format!("id {id}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

impl Store {
    /// Dead letters that `filter` selects, newest first, below id `before` if given.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        let (lowest, highest) = filter.ids(before);
        let (sql, further) = filter.choose([&PAGE, &PAGE_OF_CODE, &PAGE_OF_JOB]);
        let mut args = args![lowest, highest, limit];
        args.extend(further);
        self.all(sql, args).await
    }

    /// Dead letters of a city, newest first.
    pub async fn dead_letters_of_city(&self, id: CityId, limit: u32) -> Result<Vec<DeadLetter>> {
        self.all(&PAGE_OF_CITY, args![id, limit]).await
    }

    /// Dead letters by code, the most frequent first; of one job or of all.
    pub async fn dead_letter_groups(&self, job: Option<JobId>) -> Result<Vec<DeadLetterGroup>> {
        self.all(&GROUPS, args![job]).await
    }

    /// How many dead letters `filter` selects.
    pub async fn count_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64> {
        let (lowest, highest) = filter.ids(None);
        let (sql, further) = filter.choose([&COUNT, &COUNT_OF_CODE, &COUNT_OF_JOB]);
        let mut args = args![lowest, highest];
        args.extend(further);
        self.count(sql, args).await
    }

    /// Removes these dead letters and returns how many there were. Ids are listed because a range
    /// could include a letter whose transaction began earlier and ended later.
    pub async fn delete_dead_letters(&self, ids: &[i64]) -> Result<u64> {
        self.run(&DELETE, args![ids]).await
    }

    /// Removes the dead letters that `filter` selects now, in small transactions, and returns how
    /// many there were. Letters that are added while it runs stay.
    pub async fn discard_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64> {
        let (mut removed, mut before) = (0, None);
        loop {
            let page = self.dead_letters(filter, before, DISCARD_PAGE).await?;
            let Some(last) = page.last() else { return Ok(removed) };
            before = Some(last.id);
            let ids: Vec<i64> = page.iter().map(|letter| letter.id).collect();
            removed += self.delete_dead_letters(&ids).await?;
        }
    }
}
