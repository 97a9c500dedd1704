//! What goes into and comes out of a store, the same for both backends.
//!
//! Plain values with the units of CONTRACT: °C, km/h, degrees, WMO code, percent. The error type
//! decides once what a caller may do about a failure.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::users::People;
use isobar_model::city::Coordinates;
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{JobKind, JobOpen, JobSeal};

/// What one transaction brings. One city and one (job, task) may occur once at the most: the
/// committer has kept the newest.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub records: Records,
    pub failed_cities: Vec<CityFailure>,
    pub ledger: Vec<LedgerRow>,
    pub dead: Vec<DeadLetter>,
    pub opens: Vec<JobOpen>,
    pub seals: Vec<JobSeal>,
}

/// What a pipeline found out; a further pipeline adds a variant and a file in each backend.
#[derive(Clone, Debug)]
pub enum Records {
    Weather(Vec<Snapshot>),
    People(People),
}

impl Default for Records {
    fn default() -> Self {
        Self::Weather(Vec::new())
    }
}

/// The weather of a city at a time. Written only if it is not older than what is stored (I4).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub city_id: CityId,
    /// `None` keeps the name that is stored, or calls a new city by its number.
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Coordinates,
    pub population: Option<i64>,
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub humidity: Option<i32>,
    /// The provider's own text, UTC without an offset: `2026-01-16T05:00`.
    pub time: String,
    pub observed_at: DateTime<Utc>,
    /// Before this the upstream has nothing newer.
    pub fresh_until: DateTime<Utc>,
    /// This location's own JSON.
    pub raw_payload: String,
    pub synced_at: DateTime<Utc>,
}

/// A city that could not be refreshed: only its state changes, never its snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct CityFailure {
    pub city_id: CityId,
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub error: String,
    pub at: DateTime<Utc>,
}

/// One finished task of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRow {
    pub job_id: JobId,
    pub task_id: TaskId,
    pub try_number: u32,
    pub row: Option<u64>,
    /// Which batch brought it, and its place in the stream: for a city's timeline.
    pub batch: Option<u64>,
    pub entry: Option<String>,
    pub city_id: Option<CityId>,
    pub city: Option<String>,
    pub status: RowStatus,
    pub error_code: Option<String>,
    pub last_error: Option<String>,
    pub attempts: u32,
    /// The task's wire form as JSON, kept where it failed so that it can be published again.
    pub input: Option<String>,
    pub finished_at: DateTime<Utc>,
    /// A row that never became a task: counted in `rejected` too.
    pub rejected: bool,
    /// From the city's state when read back; ignored when written.
    pub last_refreshed_at: Option<DateTime<Utc>>,
}

impl LedgerRow {
    /// The row as the databases can hold it; what comes through the stream may be any number.
    pub(super) fn stored_row(&self) -> Option<i64> {
        self.row.map(bounded)
    }

    pub(super) fn stored_batch(&self) -> Option<i64> {
        self.batch.map(bounded)
    }

    pub(super) fn stored_try(&self) -> i32 {
        stored_try(self.try_number)
    }

    /// The input is kept where it may be needed again, and nowhere else.
    pub(super) fn kept_input(&self) -> Option<&str> {
        match self.status {
            RowStatus::Failed => self.input.as_deref(),
            RowStatus::Success | RowStatus::Skipped => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowStatus {
    Success,
    Failed,
    Skipped,
}

impl RowStatus {
    pub const ALL: [Self; 3] = [Self::Success, Self::Failed, Self::Skipped];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Where a page of results ended: rows come first by number, those without one last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCursor {
    pub row: Option<u64>,
    pub task_id: TaskId,
}

impl LedgerCursor {
    /// The rank of rows without a number: after all others.
    const UNNUMBERED: i64 = i64::MAX;

    /// Where the next page begins, as the ledger's index counts; `None` is the beginning.
    pub(super) fn position(after: Option<Self>) -> (i64, TaskId) {
        match after {
            None => (i64::MIN, TaskId(uuid::Uuid::nil())),
            Some(Self { row, task_id }) => {
                let rank = row.map_or(Self::UNNUMBERED, bounded);
                (rank, task_id)
            }
        }
    }
}

/// A failed row that can be published again, as one moment saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedInput {
    pub row: Option<u64>,
    pub task_id: TaskId,
    pub try_number: u32,
    /// The task's wire form as JSON.
    pub input: String,
    /// The dead letters of the task, oldest first.
    pub letters: Vec<i64>,
}

/// A task given up, with its reason and enough to publish it again.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Given by the store; ignored when written.
    pub id: i64,
    /// Whose stream it was in.
    pub pipeline: PipelineName,
    /// Absent where not even that could be read.
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
    /// Which entry it was (`tasks/<id>` of an epoch): a repeat of the commit adds no second one.
    pub source: String,
}

/// Which dead letters are meant: what is absent restricts nothing, so the empty filter is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadFilter {
    pub code: Option<String>,
    pub job_id: Option<JobId>,
    pub id: Option<i64>,
}

impl DeadFilter {
    /// The lowest and the highest id that it lets through, of those below `before` if given.
    pub(super) fn ids(&self, before: Option<i64>) -> (i64, i64) {
        let highest = before.map_or(i64::MAX, |before| before.saturating_sub(1));
        match self.id {
            None => (i64::MIN, highest),
            Some(id) => (id, highest.min(id)),
        }
    }
}

/// `code upstream_error, job 6fa1…` for the record of operations; `all` without a restriction.
impl fmt::Display for DeadFilter {
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

/// What a commit changed: repeats count nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitReport {
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Jobs that are done with this commit.
    pub finished_jobs: Vec<JobId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub fresh_until: DateTime<Utc>,
    pub synced_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    Queued,
    Running,
    Done,
    Failed,
    Cancelling,
    Cancelled,
}

impl JobStatus {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelling, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Nothing changes any more, but for a retry of failed rows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Workers do not run its tasks any more.
    pub fn skips_tasks(self) -> bool {
        matches!(self, Self::Cancelling | Self::Cancelled)
    }
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub created_at: DateTime<Utc>,
}

/// A job and its accounts: `total = succeeded + failed + skipped + open` once it is sealed (I5).
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    pub id: JobId,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub status: JobStatus,
    /// Source rows; unknown until the job is sealed.
    pub total: Option<u64>,
    pub processed: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Part of `failed`.
    pub rejected: u64,
    /// Part of `skipped`, counted at the seal.
    pub duplicates: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A city and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct CityRow {
    pub id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub population: Option<i64>,
    pub last_refreshed_at: Option<DateTime<Utc>>,
    pub last_status: Option<String>,
    pub last_error: Option<String>,
    pub weather: Option<WeatherRow>,
}

/// A stored snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct WeatherRow {
    pub city_id: CityId,
    pub city_name: String,
    pub latitude: f64,
    pub longitude: f64,
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub humidity: Option<i32>,
    pub time: String,
    pub observed_at: DateTime<Utc>,
    pub fresh_until: DateTime<Utc>,
    pub synced_at: DateTime<Utc>,
    /// Only where one city was asked for.
    pub raw_payload: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub id: i64,
    pub city_name: String,
    pub timestamp: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub cities: u64,
    pub snapshots: u64,
    pub jobs: u64,
    pub unfinished_jobs: u64,
    /// Rows of the ledger, as the jobs' accounts say: counting them would take seconds.
    pub ledger_rows: u64,
    pub dead_letters: u64,
    pub searches: u64,
    pub operations: u64,
    pub ticks: u64,
    pub users: u64,
    pub addresses: u64,
    pub cards: u64,
}

/// How one stream's jobs and dead letters stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineTotals {
    /// How many there are of each status; none is absent.
    pub jobs: HashMap<JobStatus, u64>,
    pub dead_letters: u64,
}

/// A city as a point of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapPoint {
    pub id: CityId,
    pub name: String,
    pub latitude: f64,
    pub longitude: f64,
    /// °C; `None` while there is no snapshot.
    pub temperature: Option<f64>,
}

/// Failures of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
}

/// Dead letters of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadGroup {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
}

/// A job whose counters and ledger do not agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Imbalance {
    pub job_id: JobId,
    /// What does not add up, in words with both numbers.
    pub detail: String,
}

/// What can go wrong, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not answering, too many connections, restarting, busy, read-only for now: wait, try again.
    #[error("the store at {location} is not available")]
    Unavailable {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// Serialisation failure or deadlock (40001, 40P01): run the whole transaction again.
    #[error("the transaction lost to another one")]
    Conflict {
        #[source]
        source: anyhow::Error,
    },
    /// The data itself cannot be stored (SQLSTATE 21, 22, 23): bisect until it stands alone.
    #[error("the store refuses this data")]
    Data {
        #[source]
        source: anyhow::Error,
    },
    /// Written by a newer version: exit 78.
    #[error(
        "the store at {location} has schema {found}, this isobar knows {known}; use the newer isobar"
    )]
    NewerSchema { location: String, found: u32, known: u32 },
    /// Only a person can mend this (wrong password, no such database, no rights): exit 78.
    #[error("the store at {location} refuses us")]
    Refused {
        location: String,
        #[source]
        source: anyhow::Error,
    },
    /// A defect of ours.
    #[error("unexpected answer from the store at {location}")]
    Unexpected {
        location: String,
        #[source]
        source: anyhow::Error,
    },
}

impl StoreError {
    /// Whether waiting may mend it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }
}

pub(super) fn stored_try(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A number from outside as both databases can hold it, and add to others of its kind.
pub(super) fn bounded(number: u64) -> i64 {
    const MOST: u64 = 1 << 60;
    number.min(MOST) as i64
}
