//! User service: the one handler of all services that list users, addresses or cards.
//!
//! A service is one [`UserService`] value: its own parameters, record, list and error body. Paging,
//! items and counting are the same for all and stand here.
//! Next: [`super::jsonplaceholder`], [`super::dummyjson`], [`super::random_data`].

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::faults::Twist;
use crate::query::Query;
use crate::reply::Reply;

pub struct UserService {
    /// The most records that a list can hold; also the highest number of an item.
    pub total: usize,
    /// The part of the list that a request asks for; the error is the message of a 400.
    pub page: fn(&Query<'_>, Twist) -> Result<Page, String>,
    /// The record at an index of the list.
    pub record: fn(&Draw, usize) -> Value,
    /// The body around the records of a page.
    pub list: fn(Vec<Value>, Page, &Query<'_>) -> Value,
    /// The status for an item that is not a number.
    pub invalid_item: StatusCode,
    /// The body of an error; without a message, the one that is usual for the status.
    pub error: fn(StatusCode, Option<String>) -> Value,
}

/// The part of a list that a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    pub skip: usize,
    pub limit: usize,
    /// Rows by which a fault begins the page too early.
    pub shift_rows: usize,
    /// Rows that a fault cuts from the end.
    pub missing_rows: usize,
    /// Whether `X-Total-Count` is sent.
    pub with_total: bool,
}

/// The values that determine a record, besides its index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draw {
    pub seed: u64,
    /// How many requests this endpoint had before.
    pub nth: u64,
    pub now: DateTime<Utc>,
    pub twist: Twist,
}

impl UserService {
    /// The list, or the record that `item` names.
    pub fn answer(&self, item: Option<&str>, query: &Query<'_>, draw: &Draw) -> Reply {
        if let Some(item) = item {
            return self.one(item, draw);
        }
        let page = match (self.page)(query, draw.twist) {
            Ok(page) => page,
            Err(message) => return self.failed(StatusCode::BAD_REQUEST, Some(message)),
        };
        let first = page.skip.saturating_sub(page.shift_rows).min(self.total);
        let limit = page.limit.saturating_sub(page.missing_rows);
        let indexes = first..first.saturating_add(limit).min(self.total);
        let count = indexes.len();
        let records = indexes.map(|index| (self.record)(draw, index)).collect();
        let body = (self.list)(records, page, query).to_string();
        let mut reply = Reply::ok(body).with_locations(count);
        if page.with_total {
            let total = (HeaderName::from_static("x-total-count"), HeaderValue::from(self.total));
            reply.headers.push(total);
        }
        reply
    }

    /// The answer that the service usually gives with an error status.
    pub fn usual_error(&self, status: StatusCode) -> Reply {
        self.failed(status, None)
    }

    fn one(&self, item: &str, draw: &Draw) -> Reply {
        match item.parse::<usize>() {
            Ok(id) if (1..=self.total).contains(&id) => {
                Reply::ok((self.record)(draw, id - 1).to_string()).with_locations(1)
            }
            Ok(id) => {
                self.failed(StatusCode::NOT_FOUND, Some(format!("User with id '{id}' not found")))
            }
            Err(_) => self.failed(self.invalid_item, Some(format!("Invalid user id '{item}'"))),
        }
    }

    fn failed(&self, status: StatusCode, message: Option<String>) -> Reply {
        Reply::json(status, (self.error)(status, message).to_string())
    }
}
