//! Any sequence of commits, repeats and cancellations, to both stores and to a model of them.
//!
//! The model keeps each job's ledger as a map and counts it anew every time; after every step the
//! store's accounts, ledger and snapshots must say the same (I3, I4, I5). A job has tasks, rejects
//! and duplicates in fixed numbers, so that a seal is true whenever it comes. What fails is shrunk
//! and printed as steps.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::task::{JobSeal, SealOutcome};
use isobar_store::{
    CancelOutcome, Commit, CommitReport, JobStatus, LedgerRow, NewOperation, OperatorAction,
    RowStatus, Store,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::Subject;
use super::fixtures::{at, dead, job, open, reject, row, seal, snapshot, weather};

const CASES: u32 = 60;
const STEPS: usize = 25;
const JOBS: usize = 3;
const TASKS: u64 = 4;
const REJECTS: u64 = 2;
const DUPLICATES: u64 = 1;
const CITIES: i64 = 3;

type Checked = Result<(), TestCaseError>;

#[derive(Clone, Debug)]
enum Step {
    Commit(Content),
    /// The same transaction again: its outcome was unknown.
    Repeat,
    Cancel(usize),
    /// The process dies and another one opens the store.
    Crash,
}

#[derive(Clone, Debug)]
struct Content {
    /// Job and task; try and end.
    rows: BTreeMap<(usize, u64), (u32, RowStatus)>,
    rejects: BTreeSet<(usize, u64)>,
    open: Option<usize>,
    seal: Option<(usize, SealOutcome)>,
    /// City; minute of the observation.
    weather: BTreeMap<i64, i64>,
    dead: BTreeSet<u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let job = || 0..JOBS;
    let end = select(&[RowStatus::Success, RowStatus::Failed, RowStatus::Skipped][..]);
    let rows = btree_map((job(), 1..=TASKS), (1..4_u32, end), 0..6);
    let rejects = btree_set((job(), TASKS + 1..=TASKS + REJECTS), 0..3);
    let seal = option::weighted(0.3, (job(), select(&SealOutcome::ALL[..])));
    let open = option::weighted(0.3, job());
    let weather = btree_map(0..CITIES, 0..60_i64, 0..3);
    let content = (rows, rejects, open, seal, weather, btree_set(0..9_u8, 0..2)).prop_map(
        |(rows, rejects, open, seal, weather, dead)| {
            Step::Commit(Content { rows, rejects, open, seal, weather, dead })
        },
    );
    prop_oneof![
        10 => content,
        3 => Just(Step::Repeat),
        1 => job().prop_map(Step::Cancel),
        1 => Just(Step::Crash),
    ]
}

type Line = (u32, RowStatus, bool);

#[derive(Default)]
struct Account {
    ledger: BTreeMap<TaskId, Line>,
    is_opened: bool,
    sealed: Option<SealOutcome>,
    status: Option<JobStatus>,
}

impl Account {
    fn count(&self, status: RowStatus) -> u64 {
        self.ledger.values().filter(|line| line.1 == status).count() as u64
    }

    fn processed(&self) -> u64 {
        self.ledger.len() as u64 + if self.sealed.is_some() { DUPLICATES } else { 0 }
    }

    /// What it is once something of it was committed.
    fn next_status(&self) -> JobStatus {
        let cancelling = self.status == Some(JobStatus::Cancelling);
        match (self.status, self.sealed) {
            (Some(end), _) if end.is_final() => end,
            (_, Some(outcome)) if self.processed() == TASKS + REJECTS + DUPLICATES => match outcome
            {
                SealOutcome::Failed => JobStatus::Failed,
                SealOutcome::Complete if !cancelling => JobStatus::Done,
                SealOutcome::Complete | SealOutcome::Cancelled => JobStatus::Cancelled,
            },
            _ if cancelling => JobStatus::Cancelling,
            _ if self.processed() > 0 => JobStatus::Running,
            _ => JobStatus::Queued,
        }
    }
}

/// A store and what it should hold.
struct Pair<'a> {
    subject: &'a Subject,
    store: Store,
    /// Jobs and cities of this case only.
    case: i64,
    jobs: BTreeMap<JobId, Account>,
    weather: BTreeMap<i64, i64>,
    dead: BTreeSet<u8>,
    last: Option<(Commit, u64)>,
}

impl Pair<'_> {
    fn job(&self, number: usize) -> JobId {
        job(&format!("model {} {number}", self.case))
    }

    fn city(&self, number: i64) -> CityId {
        CityId(1_000 + self.case * CITIES + number)
    }

    async fn take(&mut self, step: &Step) -> Checked {
        match step {
            Step::Commit(content) => self.commit(content).await,
            Step::Repeat => {
                let Some((commit, older)) = &self.last else { return Ok(()) };
                let report = self.store.commit(commit).await.expect("commits");
                prop_assert_eq!(report, CommitReport { older: *older, ..CommitReport::default() });
                Ok(())
            }
            Step::Cancel(number) => self.cancel(self.job(*number)).await,
            Step::Crash => {
                self.store = self.subject.open_again().await.expect("opens");
                Ok(())
            }
        }
    }

    async fn cancel(&mut self, id: JobId) -> Checked {
        let wish = NewOperation::now("cli ada@host", OperatorAction::JobCancel);
        let answer = self.store.request_cancel(id, &wish).await.expect("asks");
        let status = self.jobs.get(&id).and_then(|account| account.status);
        let expected = match status {
            None => CancelOutcome::Unknown,
            Some(end) if end.is_final() => CancelOutcome::Ended(end),
            Some(_) => CancelOutcome::Cancelling,
        };
        prop_assert_eq!(answer, expected);
        if expected == CancelOutcome::Cancelling {
            self.jobs.entry(id).or_default().status = Some(JobStatus::Cancelling);
        }
        Ok(())
    }

    async fn commit(&mut self, content: &Content) -> Checked {
        let commit = self.commit_of(content);
        let mut expected = CommitReport::default();
        let mut touched = BTreeSet::new();
        for LedgerRow { job_id, task_id, try_number, status, rejected, .. } in &commit.ledger {
            let ledger = &mut self.jobs.entry(*job_id).or_default().ledger;
            // I5: only a higher try replaces.
            if ledger.get(task_id).is_none_or(|line| line.0 < *try_number) {
                ledger.insert(*task_id, (*try_number, *status, *rejected));
                touched.insert(*job_id);
                match status {
                    RowStatus::Success => expected.succeeded += 1,
                    RowStatus::Failed => expected.failed += 1,
                    RowStatus::Skipped => expected.skipped += 1,
                }
            }
        }
        for opened in &commit.opens {
            self.jobs.entry(opened.job_id).or_default().is_opened = true;
            touched.insert(opened.job_id);
        }
        for JobSeal { job_id, outcome, .. } in &commit.seals {
            self.jobs.entry(*job_id).or_default().sealed.get_or_insert(*outcome);
            touched.insert(*job_id);
        }
        for id in touched {
            let account = self.jobs.get_mut(&id).expect("it was touched");
            let before = account.status.is_some_and(JobStatus::is_final);
            let next = account.next_status();
            account.status = Some(next);
            if next.is_final() && !before {
                expected.finished_jobs.push(id);
            }
        }
        for (city, minute) in &content.weather {
            let newest = self.weather.entry(*city).or_insert(*minute);
            expected.older += u64::from(*minute < *newest);
            *newest = (*newest).max(*minute);
        }
        expected.dead = content.dead.difference(&self.dead).count() as u64;
        self.dead.extend(&content.dead);
        let report = self.store.commit(&commit).await.expect("commits");
        let older = expected.older;
        prop_assert_eq!(report, expected);
        self.last = Some((commit, older));
        Ok(())
    }

    fn commit_of(&self, content: &Content) -> Commit {
        let task = |(&(job, number), &(try_number, status)): (&(usize, u64), &(u32, RowStatus))| {
            LedgerRow { try_number, ..row(self.job(job), number, status) }
        };
        let rejects = content.rejects.iter().map(|(job, number)| reject(self.job(*job), *number));
        let snapshots =
            content.weather.iter().map(|(city, minute)| snapshot(self.city(*city).0, at(*minute)));
        let rows = TASKS + REJECTS + DUPLICATES;
        let sealed = |(number, outcome): (usize, SealOutcome)| JobSeal {
            outcome,
            ..seal(self.job(number), rows, REJECTS, DUPLICATES)
        };
        let letter = |number: &u8| dead(&format!("model {} {number}", self.case));
        Commit {
            ledger: content.rows.iter().map(task).chain(rejects).collect(),
            opens: content.open.map(|number| open(self.job(number))).into_iter().collect(),
            seals: content.seal.map(sealed).into_iter().collect(),
            dead: content.dead.iter().map(letter).collect(),
            ..weather(snapshots.collect())
        }
    }

    async fn agrees(&self) -> Checked {
        for number in 0..JOBS {
            let id = self.job(number);
            let stored = self.store.job(id).await.expect("reads");
            let account = self.jobs.get(&id);
            prop_assert_eq!(
                stored.as_ref().map(|job| job.status),
                account.and_then(|account| account.status)
            );
            let (Some(stored), Some(account)) = (stored, account) else { continue };
            let duplicates = account.sealed.map_or(0, |_| DUPLICATES);
            let rejected = account.ledger.values().filter(|line| line.2).count() as u64;
            let total = account.sealed.map(|_| TASKS + REJECTS + DUPLICATES);
            prop_assert_eq!(stored.total, total);
            prop_assert_eq!(
                [stored.processed, stored.succeeded, stored.failed, stored.skipped],
                [
                    account.processed(),
                    account.count(RowStatus::Success),
                    account.count(RowStatus::Failed),
                    account.count(RowStatus::Skipped) + duplicates
                ]
            );
            prop_assert_eq!([stored.rejected, stored.duplicates], [rejected, duplicates]);
            prop_assert_eq!(stored.finished_at.is_some(), stored.status.is_final());
            prop_assert_eq!(stored.source == "cities.csv", account.is_opened);
            let rows = self.store.ledger(id, None, None, 100).await.expect("reads");
            let line = |row: LedgerRow| (row.task_id, (row.try_number, row.status, row.rejected));
            let lines: BTreeMap<TaskId, Line> = rows.into_iter().map(line).collect();
            prop_assert_eq!(&lines, &account.ledger);
        }
        for city in 0..CITIES {
            let stored = self.store.weather(self.city(city)).await.expect("reads");
            let newest = self.weather.get(&city).map(|minute| at(*minute));
            prop_assert_eq!(stored.map(|weather| weather.observed_at), newest);
        }
        prop_assert_eq!(self.store.imbalances().await.expect("reads"), vec![]);
        Ok(())
    }
}

async fn check(subject: &Subject, case: i64, steps: &[Step]) -> Checked {
    let mut pair = Pair {
        subject,
        store: subject.store.clone(),
        case,
        jobs: BTreeMap::new(),
        weather: BTreeMap::new(),
        dead: BTreeSet::new(),
        last: None,
    };
    for step in steps {
        pair.take(step).await?;
        pair.agrees().await?;
    }
    Ok(())
}

fn hold_to_the_model(subject: impl Future<Output = Subject>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let subject = runtime.block_on(subject);
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let (steps, case) = (vec(step(), 1..STEPS), Cell::new(0));
    let checked = TestRunner::new(config).run(&steps, |steps| {
        case.set(case.get() + 1);
        runtime.block_on(check(&subject, case.get(), &steps))
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn whatever_postgres_is_told_it_says_as_the_model() {
    hold_to_the_model(Subject::postgres());
}

#[test]
fn whatever_sqlite_is_told_it_says_as_the_model() {
    hold_to_the_model(async { Subject::sqlite() });
}
