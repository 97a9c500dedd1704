//! The pages of a city or user service, as a source.
//!
//! A list ends with an empty page, or with a short page unless `total_count` contradicts it; never
//! by `total_count` alone. The list may shift between two pages, and rows that come twice are
//! duplicates by their key. The cursor holds the page, its fingerprint and the rows read of it. If
//! the page has changed when another process continues, it is read again from its start.
//!
//! Guarantees: a partial list never counts as a whole one: if a page cannot be fetched, the run
//! ends with "try again". A service that repeats one page without end ends the run too.
//! Each page has a number of attempts with growing pauses, also after 4xx. Every failed attempt
//! counts for the [`breaker`](super::breaker).

use std::collections::VecDeque;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use isobar_settings::values::{Secret, masked};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::breaker::SourceBreaker;
use super::city_page;
use super::cursor::ApiCursor;
use super::error::SourceError;
use super::page::SourcePage;
use super::row::{ParsedRow, SourceRow};
use super::user_page;

/// Larger than any real page; a larger body is refused while it is read.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Equal pages in a row after which the service is considered to ignore `page`.
const MAX_REPEATS: u32 = 3;
/// The longest list: 100 million cities at the default page size.
const MAX_PAGES: u64 = 1_000_000;
/// Page size for users, the largest that our own API gives.
const USERS_LIMIT: usize = 100;
/// The parameters for size and offset of a page of users, as the known services name them.
const PAGING: [&str; 3] = ["limit", "skip", "offset"];
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long one page is tried.
#[derive(Clone, Debug)]
pub struct PageLimits {
    pub attempts: u32,
    pub timeout: Duration,
}

pub struct PagedApi {
    config: PagedApiConfig,
    client: reqwest::Client,
    cursor: ApiCursor,
    /// Rows of the cursor's page that are not read yet.
    ahead: VecDeque<ParsedRow>,
    loaded: bool,
    /// Rows of that page, once it is loaded.
    count: usize,
}

/// What is listed, and how its pages are requested.
#[derive(Clone, Debug)]
pub enum Listing {
    /// `/cities/?page=&limit=`
    Cities { page_limit: u32 },
    /// First the URL as it is, then with `limit`, `skip` and `offset`: each kind of service reads
    /// its own and ignores the others. `key` is sent as `X-API-Key`.
    Users { key: Option<Secret> },
}

pub struct PagedApiConfig {
    pub base: Url,
    pub listing: Listing,
    pub limits: PageLimits,
    pub breaker: SourceBreaker,
    pub shutdown: CancellationToken,
}

impl PagedApi {
    pub fn open(config: PagedApiConfig, cursor: ApiCursor) -> Result<Self, SourceError> {
        isobar_tls::install();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.limits.timeout)
            .user_agent(concat!("isobar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SourceError::reject_counts(format!("no HTTP client: {error}")))?;
        Ok(Self { config, client, cursor, ahead: VecDeque::new(), loaded: false, count: 0 })
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

    /// Fetches the next page.
    async fn load(&mut self) -> Result<(), SourceError> {
        if self.loaded {
            self.cursor.page += match self.config.listing {
                Listing::Cities { .. } => 1,
                Listing::Users { .. } => self.count as u64,
            };
            self.cursor.taken = 0;
            self.loaded = false;
        }
        let page = self.fetch().await?;
        let count = page.rows.len();
        if count == 0 && self.is_first_page() {
            tracing::warn!(url = %masked(&self.config.base), page = self.cursor.page, "{}", self.empty());
        }
        let requested = self.requested();
        self.count = count;
        let same = self.cursor.fingerprint.as_ref() == Some(&page.fingerprint);
        if self.cursor.taken > 0 {
            // Continue inside the page, or from its start if the list has shifted.
            let skip = if same { self.cursor.taken } else { 0 };
            self.cursor.taken = skip;
            self.ahead = page.rows.into_iter().skip(skip).collect();
        } else {
            let repeated = same && count > 0;
            self.cursor.repeats = if repeated { self.cursor.repeats + 1 } else { 0 };
            self.cursor.pages += 1;
            match after_repeat(self.cursor.repeats, count, requested) {
                Repeat::None => self.ahead = page.rows.into(),
                Repeat::WholeList => {
                    tracing::warn!(url = %masked(&self.config.base), rows = count, "the service ignores page and limit; its only answer counts as the whole list");
                    self.ahead.clear();
                    self.cursor.last = true;
                }
                Repeat::Endless => {
                    return Err(SourceError::reject_counts(format!(
                        "page {} of {} repeats the page before it, {MAX_REPEATS} times in a row: the service seems to ignore the page number",
                        self.cursor.page,
                        masked(&self.config.base)
                    )));
                }
            }
        }
        if self.cursor.pages > MAX_PAGES {
            return Err(SourceError::reject_counts(format!(
                "{} has more than {MAX_PAGES} pages",
                masked(&self.config.base)
            )));
        }
        self.cursor.fingerprint = Some(page.fingerprint);
        // A service may give fewer rows than requested. A short page is the last one, unless the
        // service itself reports more rows; then the next page decides.
        let rows_ahead = self.ahead.len() as u64;
        let is_short = match requested {
            Some(requested) => count < requested,
            None => page.total_count.is_some(),
        };
        let reports_more =
            page.total_count.is_some_and(|total| self.cursor.row + rows_ahead < total);
        self.cursor.last |= count == 0 || page.is_whole || (is_short && !reports_more);
        self.loaded = true;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<SourcePage, SourceError> {
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.config.limits.attempts.saturating_sub(1) as usize)
            .with_jitter()
            .build();
        loop {
            if let Some(until) = self.config.breaker.open_until().await? {
                return Err(SourceError::BreakerOpen { source_name: self.name(), until });
            }
            let attempt = tokio::select! {
                attempt = self.attempt() => attempt,
                () = self.config.shutdown.cancelled() => return Err(SourceError::Stopped),
            };
            let reason = match attempt {
                Ok(page) => {
                    self.config.breaker.record_success().await?;
                    return Ok(page);
                }
                Err(AttemptError::Refused(detail)) => {
                    return Err(SourceError::Refused { source_name: self.name(), detail });
                }
                Err(AttemptError::Failed(reason)) => reason,
            };
            self.config.breaker.record_failure().await?;
            let Some(pause) = pauses.next() else {
                return Err(SourceError::Away {
                    source_name: self.name(),
                    detail: format!(
                        "page {} failed {} times, last: {reason}",
                        self.cursor.page, self.config.limits.attempts
                    ),
                });
            };
            tracing::warn!(url = %masked(&self.config.base), page = self.cursor.page, error = %reason, "a page of the source failed; trying again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.config.shutdown.cancelled() => return Err(SourceError::Stopped),
            }
        }
    }

    /// Whether no page before this one held a row.
    fn is_first_page(&self) -> bool {
        self.cursor.row == 0
    }

    /// What to do about a source without rows.
    fn empty(&self) -> &'static str {
        match self.config.listing {
            Listing::Cities { .. } => {
                "the city source lists no cities; check ISOBAR_CITY_SOURCE_URL, and set \
                 ISOBAR_PAGE_FIRST to the number of its first page (0 or 1)"
            }
            Listing::Users { .. } => "the user source lists no users; check ISOBAR_USERS_URL",
        }
    }

    /// The source's name in messages.
    fn name(&self) -> String {
        let what = match self.config.listing {
            Listing::Cities { .. } => "city source",
            Listing::Users { .. } => "user source",
        };
        format!("the {what} at {}", masked(&self.config.base))
    }

    /// The page size to request. `None` leaves it to the service.
    fn requested(&self) -> Option<usize> {
        match self.config.listing {
            Listing::Cities { page_limit } => Some(page_limit as usize),
            Listing::Users { .. } => (self.cursor.page > 0).then_some(USERS_LIMIT),
        }
    }

    fn url(&self) -> Url {
        let mut url = self.config.base.clone();
        let (page, requested) = (self.cursor.page.to_string(), self.requested());
        let limit = requested.unwrap_or_default().to_string();
        match self.config.listing {
            Listing::Cities { .. } => {
                let path = format!("{}/cities/", url.path().trim_end_matches('/'));
                url.set_path(&path);
                url.query_pairs_mut().append_pair("page", &page).append_pair("limit", &limit);
            }
            Listing::Users { .. } if requested.is_none() => {}
            Listing::Users { .. } => {
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
        match &self.config.listing {
            Listing::Users { key: Some(key) } => request.header("X-API-Key", key.expose()),
            _ => request,
        }
    }

    async fn attempt(&self) -> Result<SourcePage, AttemptError> {
        let url = self.url();
        // Errors of reqwest contain the URL, whose query may hold a key.
        let failed = |error: reqwest::Error| isobar_telemetry::error_chain(&error.without_url());
        let mut response = match self.request(url).send().await {
            Ok(response) => response,
            Err(error) => {
                return match isobar_tls::refusal(&error) {
                    Some(detail) => Err(AttemptError::Refused(detail)),
                    None => Err(failed(error).into()),
                };
            }
        };
        let status = response.status();
        if status.is_redirection() {
            let said = "it answers with a redirect";
            return Err(format!("{said} ({status}); set the final URL instead").into());
        }
        if !status.is_success() {
            let is_cities = matches!(self.config.listing, Listing::Cities { .. });
            let advice = if is_cities && self.is_first_page() && status.is_client_error() {
                "; check ISOBAR_CITY_SOURCE_URL, and ISOBAR_PAGE_FIRST, the number of its first page"
            } else {
                ""
            };
            return Err(format!("it answers {status}{advice}").into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_PAGE_BYTES {
                return Err(format!("the page is larger than {MAX_PAGE_BYTES} bytes").into());
            }
            body.extend_from_slice(&chunk);
        }
        let page = match self.config.listing {
            Listing::Cities { .. } => city_page::parse(&body),
            Listing::Users { .. } => user_page::parse(&body),
        };
        Ok(page?)
    }
}

/// Why a page did not come.
enum AttemptError {
    Failed(String),
    /// A certificate is refused: another attempt does not help.
    Refused(String),
}

impl From<String> for AttemptError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

#[derive(Debug, PartialEq)]
enum Repeat {
    None,
    /// It gave more or fewer rows than requested, and now the same rows again: that is its list.
    WholeList,
    Endless,
}

fn after_repeat(repeats: u32, count: usize, requested: Option<usize>) -> Repeat {
    match repeats {
        0 => Repeat::None,
        _ if Some(count) != requested => Repeat::WholeList,
        1..MAX_REPEATS => Repeat::None,
        _ => Repeat::Endless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_repeats_pages_ends_the_run() {
        assert_eq!(after_repeat(0, 100, Some(100)), Repeat::None);
        assert_eq!(after_repeat(1, 34_006, Some(100)), Repeat::WholeList);
        assert_eq!(after_repeat(1, 40, Some(100)), Repeat::WholeList);
        assert_eq!(after_repeat(1, 100, Some(100)), Repeat::None);
        assert_eq!(after_repeat(MAX_REPEATS, 100, Some(100)), Repeat::Endless);
    }
}
