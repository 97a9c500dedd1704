//! Where results, accounts and searches are kept: PostgreSQL or a SQLite file.
//!
//! [`Store`] promises the same over both; one conformance suite (`tests/it/store.rs`) holds both
//! to it. The heart is [`Store::commit`]: results, ledger rows and job counters change in one
//! transaction (I3), a snapshot never goes back in observation time (I4), and counters move only
//! with the ledger row that the primary key lets in (I5), so that a repeat changes nothing.
//!
//! Deliberately absent: retries (the committer knows how long it may wait) and anything of the
//! stream. Tables and columns are those of the README, "Tables". SQL is written, not assembled:
//! constants beside their row types, each prepared in a test on both databases.

#[macro_use]
mod sql;

mod account;
mod ledger;
mod nul;
mod operations;
pub mod postgres;
pub mod sqlite;
mod ticks;
mod users;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use ledger::{
    CityFailure, CityRow, Commit, CommitReport, DeadFilter, DeadGroup, DeadLetter, FailedInput,
    FailureGroup, Freshness, Imbalance, JobRow, JobStatus, LedgerCursor, LedgerRow, MapPoint,
    NewJob, PipelineTotals, Records, RowStatus, Search, Snapshot, StoreError, Totals, WeatherRow,
};
pub use operations::{Action, CancelAnswer, NewOperation, Operation};
pub use ticks::{Tick, TickClaim, TickEnding};
pub use users::{CardRow, Found, People, SeenUser, UserFilter, UserRow};

use isobar_model::city::Place;
use isobar_model::ids::{CityId, JobId, TaskId, UserId};
use isobar_model::pipeline::{Enrichment, PipelineName};
use isobar_settings::Settings;
use isobar_settings::values::DatabaseUrl;

/// The one way to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    Postgres(postgres::PostgresStore),
    Sqlite(sqlite::SqliteStore),
}

type Result<T> = std::result::Result<T, StoreError>;

/// The most cities of one name that are worth looking at; the list has far fewer.
const MAX_CANDIDATES: i64 = 100;
/// Dead letters that one transaction discards.
const DISCARD_PAGE: u32 = 500;

/// Runs one expression against whichever backend this is.
macro_rules! either {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self {
            Store::Postgres($backend) => $call,
            Store::Sqlite($backend) => $call,
        }
    };
}
use either;

/// The same for what a server has to answer: a connection that died without a word must not hold
/// up its caller for ever.
macro_rules! ask {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self {
            Store::Postgres($backend) => $backend.in_time($call).await,
            Store::Sqlite($backend) => $call.await,
        }
    };
}

impl Store {
    /// Connects and brings the schema up, one process at a time; a newer schema is refused.
    pub async fn open(settings: &Settings) -> Result<Self> {
        match settings.database() {
            DatabaseUrl::Postgres(url) => {
                postgres::PostgresStore::open(&url, settings.db_connections)
                    .await
                    .map(Self::Postgres)
            }
            DatabaseUrl::Sqlite(path) => sqlite::SqliteStore::open(&path).map(Self::Sqlite),
        }
    }

    /// `postgres` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Where it is, without secrets.
    pub fn location(&self) -> String {
        either!(self, backend => backend.location())
    }

    pub async fn ping(&self) -> Result<()> {
        ask!(self, backend => backend.ping())
    }
}

/// What workers need.
impl Store {
    /// How current the snapshots of `cities` are; cities without one are absent.
    pub async fn freshness(&self, cities: &[CityId]) -> Result<HashMap<CityId, Freshness>> {
        ask!(self, backend => backend.freshness(cities))
    }

    /// The states of `jobs`; unknown ones are absent.
    pub async fn job_statuses(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobStatus>> {
        ask!(self, backend => backend.job_statuses(jobs))
    }

    /// Everything in one transaction (I3). The slices need no order: the backend sorts by key, so
    /// that two workers never wait for each other in a circle, and touches job rows last.
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        ask!(self, backend => backend.commit(commit))
    }

    /// Cities called so (folded name, and country if given), most populous first; answers of the
    /// geocoder included, under the name that was asked for.
    pub async fn cities_named(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
    ) -> Result<Vec<CityRow>> {
        if folded_name.is_empty() {
            // The key of cities whose name is not known.
            return Ok(Vec::new());
        }
        ask!(self, backend => backend.cities_named(folded_name, country_code))
    }

    /// Keeps a geocoder's answer for ever: the city, and the folded name that found it.
    pub async fn remember_city(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &Place,
    ) -> Result<()> {
        ask!(self, backend => backend.remember_city(folded_name, country_code, place))
    }

    /// Ends what is too old: ledger rows of jobs finished before and ticks of schedules, searches
    /// before, operations of more than a year ago. In small transactions; returns (ledger rows,
    /// searches) removed.
    pub async fn prune(
        &self,
        now: DateTime<Utc>,
        jobs: Duration,
        searches: Duration,
    ) -> Result<(u64, u64)> {
        ask!(self, backend => backend.prune(now, jobs, searches))
    }
}

/// What people ask for.
impl Store {
    pub async fn city(&self, id: CityId) -> Result<Option<CityRow>> {
        ask!(self, backend => backend.city(id))
    }

    pub async fn weather(&self, id: CityId) -> Result<Option<WeatherRow>> {
        ask!(self, backend => backend.weather(id))
    }

    /// Snapshots by ascending city id after `after`, without their raw payloads.
    pub async fn weather_page(&self, after: Option<CityId>, limit: u32) -> Result<Vec<WeatherRow>> {
        ask!(self, backend => backend.weather_page(after, limit))
    }

    pub async fn record_searches(&self, searches: &[(String, DateTime<Utc>)]) -> Result<()> {
        ask!(self, backend => backend.record_searches(searches))
    }

    /// Newest first, below id `before` if given.
    pub async fn searches(&self, before: Option<i64>, limit: u32) -> Result<Vec<Search>> {
        ask!(self, backend => backend.searches(before, limit))
    }

    pub async fn clear_searches(&self) -> Result<()> {
        ask!(self, backend => backend.clear_searches())
    }

    /// Reads whole tables: callers keep the answer for a while.
    pub async fn totals(&self) -> Result<Totals> {
        ask!(self, backend => backend.totals())
    }

    /// How the jobs and dead letters of each stream stand; a stream without any is absent.
    pub async fn pipeline_totals(&self) -> Result<HashMap<PipelineName, PipelineTotals>> {
        ask!(self, backend => backend.pipeline_totals())
    }

    /// The cities of these ids, without their raw payloads; unknown ones are absent.
    pub async fn cities_by_id(&self, ids: &[CityId]) -> Result<Vec<CityRow>> {
        ask!(self, backend => backend.cities_by_id(ids))
    }

    /// Cities by ascending id, without their raw payloads, from `offset` on: for those who page by
    /// number, as city services do.
    pub async fn cities_page(&self, offset: u64, limit: u32) -> Result<Vec<CityRow>> {
        ask!(self, backend => backend.cities_page(offset, limit))
    }

    /// All cities whose place is known. Reads the whole table.
    pub async fn map_points(&self) -> Result<Vec<MapPoint>> {
        ask!(self, backend => backend.map_points())
    }

    /// The cities that were refreshed last, newest first. Reads the whole table: no index has a
    /// column that changes with each fetch.
    pub async fn recently_refreshed(&self, limit: u32) -> Result<Vec<CityRow>> {
        ask!(self, backend => backend.recently_refreshed(limit))
    }

    /// The ledger's failures by code, the most frequent first.
    pub async fn failures(&self, limit: u32) -> Result<Vec<FailureGroup>> {
        ask!(self, backend => backend.failures(limit))
    }
}

/// Jobs and their accounts.
impl Store {
    /// Makes a `queued` job known before its first message comes through the stream; a job that
    /// is known already is left as it is.
    pub async fn create_job(&self, job: &NewJob) -> Result<()> {
        ask!(self, backend => backend.create_job(job))
    }

    /// Ends a job whose source failed before anything of it was published. Not for others.
    pub async fn fail_job(&self, id: JobId, now: DateTime<Utc>) -> Result<()> {
        ask!(self, backend => backend.fail_job(id, now))
    }

    /// Asks for the job's end, recorded in the same transaction: from now on workers skip its
    /// tasks. A job that has ended, or that nobody knows, is left as it is.
    pub async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelAnswer> {
        ask!(self, backend => backend.request_cancel(id, operation))
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        ask!(self, backend => backend.job(id))
    }

    /// Newest first, older than `before` if given.
    pub async fn jobs(
        &self,
        before: Option<(DateTime<Utc>, JobId)>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        ask!(self, backend => backend.jobs(before, limit))
    }

    /// Finished tasks in the order of their rows, after `after`; served by the ledger's index
    /// whatever the page's depth.
    pub async fn ledger(
        &self,
        job: JobId,
        status: Option<RowStatus>,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        ask!(self, backend => backend.ledger(job, status, after, limit))
    }

    /// The ledger rows of these tasks; those that have none are absent.
    pub async fn ledger_rows(&self, tasks: &[(JobId, TaskId)]) -> Result<Vec<LedgerRow>> {
        ask!(self, backend => backend.ledger_rows(tasks))
    }

    /// Failed rows that kept their input, in the order of their rows, after `after`. Row and dead
    /// letters are of one moment, so a letter that comes later is not among them.
    pub async fn failed_inputs(
        &self,
        job: JobId,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<FailedInput>> {
        ask!(self, backend => backend.failed_inputs(job, after, limit))
    }

    /// How many failed rows kept their input.
    pub async fn count_failed_inputs(&self, job: JobId) -> Result<u64> {
        ask!(self, backend => backend.count_failed_inputs(job))
    }

    /// Those of `tasks` that have no ledger row of their try or a higher one; none of a job whose
    /// ledger is forgotten.
    pub async fn missing_from_ledger(
        &self,
        job: JobId,
        tasks: &[(TaskId, u32)],
    ) -> Result<Vec<TaskId>> {
        ask!(self, backend => backend.missing_from_ledger(job, tasks))
    }

    /// Jobs whose counters differ from their ledger's count; empty is what should be.
    pub async fn imbalances(&self) -> Result<Vec<Imbalance>> {
        ask!(self, backend => backend.imbalances())
    }

    /// Dead letters that `filter` means, newest first, below id `before` if given.
    pub async fn dead_letters(
        &self,
        filter: &DeadFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        ask!(self, backend => backend.dead_letters(filter, before, limit))
    }

    /// Dead letters of a city, newest first.
    pub async fn dead_letters_of_city(&self, id: CityId, limit: u32) -> Result<Vec<DeadLetter>> {
        ask!(self, backend => backend.dead_letters_of_city(id, limit))
    }

    /// Dead letters by code, the most frequent first; of one job or of all.
    pub async fn dead_letter_groups(&self, job: Option<JobId>) -> Result<Vec<DeadGroup>> {
        ask!(self, backend => backend.dead_letter_groups(job))
    }

    /// How many dead letters `filter` means.
    pub async fn count_dead_letters(&self, filter: &DeadFilter) -> Result<u64> {
        ask!(self, backend => backend.count_dead_letters(filter))
    }

    /// Removes these dead letters and tells how many there were; by id alone, because a range
    /// could take one along whose transaction began earlier and ended later.
    pub async fn delete_dead_letters(&self, ids: &[i64]) -> Result<u64> {
        ask!(self, backend => backend.delete_dead_letters(ids))
    }

    /// Removes the dead letters that `filter` means now, in small transactions, and tells how many
    /// there were. Those that come meanwhile stay.
    pub async fn discard_dead_letters(&self, filter: &DeadFilter) -> Result<u64> {
        let (mut gone, mut before) = (0, None);
        loop {
            let page = self.dead_letters(filter, before, DISCARD_PAGE).await?;
            let Some(last) = page.last() else { return Ok(gone) };
            before = Some(last.id);
            let ids: Vec<i64> = page.iter().map(|letter| letter.id).collect();
            gone += self.delete_dead_letters(&ids).await?;
        }
    }
}

/// People: users, addresses, cards.
impl Store {
    /// Users by ascending id from `offset` on, with what was found for them.
    pub async fn users(
        &self,
        filter: &UserFilter,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<UserRow>> {
        ask!(self, backend => backend.users(filter, offset, limit))
    }

    /// How many users `filter` means.
    pub async fn count_users(&self, filter: &UserFilter) -> Result<u64> {
        ask!(self, backend => backend.count_users(filter))
    }

    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        ask!(self, backend => backend.user(id))
    }

    /// The users who miss that, or all, by ascending id after `after`.
    pub async fn user_ids(
        &self,
        missing: Option<Enrichment>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>> {
        ask!(self, backend => backend.user_ids(missing, after, limit))
    }

    /// Those of `ids` who have that already.
    pub async fn users_with(&self, what: Enrichment, ids: &[UserId]) -> Result<HashSet<UserId>> {
        ask!(self, backend => backend.users_with(what, ids))
    }
}

/// What operators did, and when.
impl Store {
    pub async fn record_operation(&self, operation: &NewOperation) -> Result<()> {
        ask!(self, backend => backend.record_operation(operation))
    }

    /// Newest first, below id `before` if given.
    pub async fn operations(&self, before: Option<i64>, limit: u32) -> Result<Vec<Operation>> {
        ask!(self, backend => backend.operations(before, limit))
    }
}

/// What ended before this is old enough to go.
fn cutoff(now: DateTime<Utc>, keep: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(keep)
        .ok()
        .and_then(|keep| now.checked_sub_signed(keep))
        .unwrap_or(DateTime::UNIX_EPOCH)
}
