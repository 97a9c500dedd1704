//! Placeholder, being written.
use super::*;
use crate::place::Place;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
type Result<T> = std::result::Result<T, StoreError>;
#[derive(Clone, Debug)]
pub struct SqliteStore;
impl SqliteStore {
    pub fn open(_: &Path) -> Result<Self> {
        unimplemented!()
    }
    pub fn location(&self) -> String {
        unimplemented!()
    }
    pub async fn ping(&self) -> Result<()> {
        let _ = ();
        unimplemented!()
    }
    pub async fn freshness(&self, cities: &[CityId]) -> Result<HashMap<CityId, Freshness>> {
        let _ = (cities,);
        unimplemented!()
    }
    pub async fn job_statuses(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobStatus>> {
        let _ = (jobs,);
        unimplemented!()
    }
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        let _ = (commit,);
        unimplemented!()
    }
    pub async fn cities_named(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
    ) -> Result<Vec<CityRow>> {
        let _ = (folded_name, country_code);
        unimplemented!()
    }
    pub async fn remember_city(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &Place,
    ) -> Result<()> {
        let _ = (folded_name, country_code, place);
        unimplemented!()
    }
    pub async fn prune(
        &self,
        now: DateTime<Utc>,
        jobs: Duration,
        searches: Duration,
    ) -> Result<(u64, u64)> {
        let _ = (now, jobs, searches);
        unimplemented!()
    }
    pub async fn city(&self, id: CityId) -> Result<Option<CityRow>> {
        let _ = (id,);
        unimplemented!()
    }
    pub async fn weather(&self, id: CityId) -> Result<Option<WeatherRow>> {
        let _ = (id,);
        unimplemented!()
    }
    pub async fn weather_page(&self, after: Option<CityId>, limit: u32) -> Result<Vec<WeatherRow>> {
        let _ = (after, limit);
        unimplemented!()
    }
    pub async fn record_searches(&self, searches: &[(String, DateTime<Utc>)]) -> Result<()> {
        let _ = (searches,);
        unimplemented!()
    }
    pub async fn searches(&self, before: Option<i64>, limit: u32) -> Result<Vec<Search>> {
        let _ = (before, limit);
        unimplemented!()
    }
    pub async fn clear_searches(&self) -> Result<()> {
        let _ = ();
        unimplemented!()
    }
    pub async fn totals(&self) -> Result<Totals> {
        let _ = ();
        unimplemented!()
    }
    pub async fn create_job(&self, job: &NewJob) -> Result<()> {
        let _ = (job,);
        unimplemented!()
    }
    pub async fn fail_job(&self, id: JobId, now: DateTime<Utc>) -> Result<()> {
        let _ = (id, now);
        unimplemented!()
    }
    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        let _ = (id,);
        unimplemented!()
    }
    pub async fn jobs(
        &self,
        before: Option<(DateTime<Utc>, JobId)>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        let _ = (before, limit);
        unimplemented!()
    }
    pub async fn ledger(
        &self,
        job: JobId,
        status: Option<RowStatus>,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let _ = (job, status, after, limit);
        unimplemented!()
    }
    pub async fn missing_from_ledger(&self, job: JobId, tasks: &[TaskId]) -> Result<Vec<TaskId>> {
        let _ = (job, tasks);
        unimplemented!()
    }
    pub async fn imbalances(&self) -> Result<Vec<Imbalance>> {
        let _ = ();
        unimplemented!()
    }
    pub async fn dead_letters(&self, before: Option<i64>, limit: u32) -> Result<Vec<DeadLetter>> {
        let _ = (before, limit);
        unimplemented!()
    }
}
