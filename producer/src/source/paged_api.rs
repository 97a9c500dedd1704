//! The pages of a city or user service as a source that can stop anywhere and go on in another process.
//!
//! A run ends with an empty page, or a short one that is not contradicted by `total_count`; never
//! by `total_count` alone. The list may shift between
//! pages: what comes twice is found by its key later on; nothing is taken on trust. The cursor
//! names the page and how many of its rows are taken, with the page's fingerprint: if the page has
//! changed when the run goes on, it is read again from its start. A service that answers with the
//! same page for ever is told apart and ends the run.
//!
//! Each page has a number of attempts with growing pauses, 4xx included; every failure counts for
//! the breaker, which the outbox file keeps for the next run. What cannot be fetched ends the
//! run with "try again": a partial list is never taken for a whole one.

use std::collections::VecDeque;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use isobar_settings::values::{BreakerSpec, Secret, masked};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::breaker::open_until;
use super::city_page::{self, Page};
use super::row::Row;
use super::user_page;
use super::{SourceError, SourceRow};
use crate::outbox::Outbox;

/// More than any page of cities weighs; a body beyond it is refused while it is read.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Pages in a row that bring nothing new before the service is taken to ignore `page`.
const MAX_REPEATS: u32 = 3;
/// A list without an end is no list: 100 million cities at the default limit.
const MAX_PAGES: u64 = 1_000_000;
/// Users that are asked for at once, as many as our own API gives.
const USERS_LIMIT: usize = 100;
/// Size and place of a page of users, in the words of the services there are.
const PAGING: [&str; 3] = ["limit", "skip", "offset"];
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a page costs at most.
#[derive(Clone, Debug)]
pub struct Limits {
    pub attempts: u32,
    pub breaker: BreakerSpec,
    pub timeout: Duration,
}

pub struct Api {
    base: Url,
    list: List,
    limits: Limits,
    client: reqwest::Client,
    outbox: Outbox,
    shutdown: CancellationToken,
    cursor: ApiCursor,
    /// Rows of the cursor's page that are not taken yet.
    ahead: VecDeque<Row>,
    loaded: bool,
    /// Rows of that page, once it is loaded.
    count: usize,
}

/// What is listed, and how its pages are asked for.
#[derive(Clone, Debug)]
pub enum List {
    /// `/cities/?page=&limit=`
    Cities { page_limit: u32 },
    /// The address as it is, then with `limit`, `skip` and `offset`: each kind of service goes by its
    /// own and ignores the others. `key` is sent as `X-API-Key`.
    Users { key: Option<Secret> },
}

/// Where to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiCursor {
    /// The page's number; of users, how many rows the pages before it had.
    page: u64,
    /// Rows of that page that are taken.
    taken: usize,
    /// Of the page named, once a row of it is taken; else of the page before it.
    fingerprint: Option<String>,
    repeats: u32,
    row: u64,
    pages: u64,
    /// The last page was short: there is nothing after it.
    last: bool,
}

impl ApiCursor {
    pub fn first(page: u32) -> Self {
        Self { page: u64::from(page), ..Self::default() }
    }
}

/// What the source is made of.
pub struct Connection {
    pub base: Url,
    pub list: List,
    pub limits: Limits,
    pub outbox: Outbox,
    pub shutdown: CancellationToken,
}

impl Api {
    pub fn open(connection: Connection, cursor: ApiCursor) -> Result<Self, SourceError> {
        isobar_upstream::install_tls();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(connection.limits.timeout)
            .user_agent(concat!("isobar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SourceError::unusable(format!("no HTTP client: {error}")))?;
        Ok(Self {
            base: connection.base,
            list: connection.list,
            limits: connection.limits,
            client,
            outbox: connection.outbox,
            shutdown: connection.shutdown,
            cursor,
            ahead: VecDeque::new(),
            loaded: false,
            count: 0,
        })
    }

    pub fn cursor(&self) -> ApiCursor {
        self.cursor.clone()
    }

    /// Up to `limit` rows; none at the end.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        let mut rows = Vec::with_capacity(limit);
        while rows.len() < limit {
            match self.ahead.pop_front() {
                Some(row) => {
                    self.cursor.taken += 1;
                    self.cursor.row += 1;
                    rows.push(SourceRow { number: self.cursor.row, row });
                }
                None if self.loaded && self.cursor.last => break,
                None => self.load().await?,
            }
        }
        Ok(rows)
    }

    /// Fetches the page to read next.
    async fn load(&mut self) -> Result<(), SourceError> {
        if self.loaded {
            self.cursor.page += match self.list {
                List::Cities { .. } => 1,
                List::Users { .. } => self.count as u64,
            };
            self.cursor.taken = 0;
            self.loaded = false;
        }
        let page = self.fetch().await?;
        let count = page.rows.len();
        let asked = self.asked();
        self.count = count;
        let same = self.cursor.fingerprint.as_ref() == Some(&page.fingerprint);
        if self.cursor.taken > 0 {
            // Going on inside a page: where it left off, or from its start if the list shifted.
            let skip = if same { self.cursor.taken } else { 0 };
            self.cursor.taken = skip;
            self.ahead = page.rows.into_iter().skip(skip).collect();
        } else {
            let repeated = same && count > 0;
            self.cursor.repeats = if repeated { self.cursor.repeats + 1 } else { 0 };
            self.cursor.pages += 1;
            match after_repeat(self.cursor.repeats, count, asked) {
                Repeat::None => self.ahead = page.rows.into(),
                Repeat::WholeList => {
                    tracing::warn!(url = %masked(&self.base), rows = count, "the service ignores page and limit; its one answer is taken for the whole list");
                    self.ahead.clear();
                    self.cursor.last = true;
                }
                Repeat::ForEver => {
                    return Err(SourceError::unusable(format!(
                        "page {} of {} repeats the page before it, {MAX_REPEATS} times in a row: the service seems to ignore the page number",
                        self.cursor.page,
                        masked(&self.base)
                    )));
                }
            }
        }
        if self.cursor.pages > MAX_PAGES {
            return Err(SourceError::unusable(format!(
                "{} has more than {MAX_PAGES} pages",
                masked(&self.base)
            )));
        }
        self.cursor.fingerprint = Some(page.fingerprint);
        // A service may give fewer than it is asked for: a short page is the last one unless the
        // service itself says that there is more, and then the next page tells.
        let rows_ahead = self.ahead.len() as u64;
        let is_short = match asked {
            Some(asked) => count < asked,
            None => page.total_count.is_some(),
        };
        let says_more = page.total_count.is_some_and(|total| self.cursor.row + rows_ahead < total);
        self.cursor.last |= count == 0 || page.is_whole || (is_short && !says_more);
        self.loaded = true;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Page, SourceError> {
        let host = self.base.host_str().unwrap_or_default().to_owned();
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.limits.attempts.saturating_sub(1) as usize)
            .with_jitter()
            .build();
        loop {
            let failures = self.outbox.source_failures(&host).await?;
            if let Some(until_ms) = open_until(&self.limits.breaker, &failures, now_ms()) {
                return Err(SourceError::BreakerOpen {
                    source_name: self.name(),
                    until: DateTime::from_timestamp_millis(until_ms as i64).unwrap_or_default(),
                });
            }
            let attempt = tokio::select! {
                attempt = self.attempt() => attempt,
                () = self.shutdown.cancelled() => return Err(SourceError::Stopped),
            };
            let reason = match attempt {
                Ok(page) => {
                    if failures.len() >= self.limits.breaker.failures as usize {
                        // It was open, and this was the probe.
                        self.outbox.forget_source_failures(&host).await?;
                    }
                    return Ok(page);
                }
                Err(reason) => reason,
            };
            let keep = self.limits.breaker.window + self.limits.breaker.open;
            self.outbox.add_source_failure(&host, now_ms(), keep).await?;
            let Some(pause) = pauses.next() else {
                return Err(SourceError::Away {
                    source_name: self.name(),
                    detail: format!(
                        "page {} failed {} times, last: {reason}",
                        self.cursor.page, self.limits.attempts
                    ),
                });
            };
            tracing::warn!(url = %masked(&self.base), page = self.cursor.page, error = %reason, "a page of the source failed; trying again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => return Err(SourceError::Stopped),
            }
        }
    }

    /// What messages call it.
    fn name(&self) -> String {
        let what = match self.list {
            List::Cities { .. } => "city source",
            List::Users { .. } => "user source",
        };
        format!("the {what} at {}", masked(&self.base))
    }

    /// How many rows are asked for; as many as the service likes where it is not said.
    fn asked(&self) -> Option<usize> {
        match self.list {
            List::Cities { page_limit } => Some(page_limit as usize),
            List::Users { .. } => (self.cursor.page > 0).then_some(USERS_LIMIT),
        }
    }

    fn url(&self) -> Url {
        let mut url = self.base.clone();
        let (page, asked) = (self.cursor.page.to_string(), self.asked());
        let limit = asked.unwrap_or_default().to_string();
        match self.list {
            List::Cities { .. } => {
                let path = format!("{}/cities/", url.path().trim_end_matches('/'));
                url.set_path(&path);
                url.query_pairs_mut().append_pair("page", &page).append_pair("limit", &limit);
            }
            List::Users { .. } if asked.is_none() => {}
            List::Users { .. } => {
                let kept: Vec<(String, String)> = url
                    .query_pairs()
                    .filter(|(name, _)| !PAGING.contains(&name.as_ref()))
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect();
                url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs([
                    (PAGING[0], limit.as_str()),
                    (PAGING[1], page.as_str()),
                    (PAGING[2], page.as_str()),
                ]);
            }
        }
        url
    }

    fn request(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.client.get(url);
        match &self.list {
            List::Users { key: Some(key) } => request.header("X-API-Key", key.expose()),
            _ => request,
        }
    }

    async fn attempt(&self) -> Result<Page, String> {
        let url = self.url();
        // reqwest's errors name the URL, whose query may hold a key.
        let failed = |error: reqwest::Error| isobar_telemetry::chain(&error.without_url());
        let mut response = self.request(url).send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "it answers with a redirect ({status}); set the final address instead"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_PAGE_BYTES {
                return Err(format!("the page is larger than {MAX_PAGE_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        match self.list {
            List::Cities { .. } => city_page::parse(&body),
            List::Users { .. } => user_page::parse(&body),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Repeat {
    None,
    /// It gave more or fewer than was asked for, and now the same again: that was all it has.
    WholeList,
    ForEver,
}

fn after_repeat(repeats: u32, count: usize, asked: Option<usize>) -> Repeat {
    match repeats {
        0 => Repeat::None,
        _ if Some(count) != asked => Repeat::WholeList,
        1..MAX_REPEATS => Repeat::None,
        _ => Repeat::ForEver,
    }
}

fn now_ms() -> u64 {
    Utc::now().timestamp_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_ignores_the_page_number_ends_the_run() {
        assert_eq!(after_repeat(0, 100, Some(100)), Repeat::None);
        assert_eq!(after_repeat(1, 34_006, Some(100)), Repeat::WholeList);
        assert_eq!(after_repeat(1, 40, Some(100)), Repeat::WholeList);
        assert_eq!(after_repeat(1, 100, Some(100)), Repeat::None);
        assert_eq!(after_repeat(MAX_REPEATS, 100, Some(100)), Repeat::ForEver);
    }
}
