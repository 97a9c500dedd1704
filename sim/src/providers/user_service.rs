//! User service: the handler of all services that list users, addresses or cards.
//!
//! A service is one [`UserService`] value: its parameters, records, list and error body.
//! Guarantees: paging, items and counting work the same in every service.
//! Next: [`super::jsonplaceholder`], [`super::dummyjson`], [`super::random_data`].

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::faults::ResponseFault;
use crate::query::Query;
use crate::reply::Reply;

pub struct UserService {
    /// The highest number of records in a list, and the highest number of an item.
    pub total: usize,
    /// Selects a part of the list. The error is the message of a 400.
    pub page: fn(&Query<'_>, ResponseFault) -> Result<Page, String>,
    /// Makes the record at an index of the list.
    pub record: fn(&RecordContext, usize) -> Value,
    /// Puts the records of a page into a body.
    pub list: fn(Vec<Value>, Page, &Query<'_>) -> Value,
    /// The status for an item that is not a number.
    pub invalid_item: StatusCode,
    /// Makes the body of an error. Without a message it is the usual body of the status.
    pub error: fn(StatusCode, Option<String>) -> Value,
}

/// The requested part of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    pub skip: usize,
    pub limit: usize,
    /// How many rows too early a fault begins the page.
    pub shift_rows: usize,
    /// How many rows a fault removes at the end.
    pub missing_rows: usize,
    /// Whether `X-Total-Count` is sent.
    pub with_total: bool,
}

/// The values that determine a record, besides its index.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordContext {
    pub seed: u64,
    /// How many requests the endpoint had before this one.
    pub nth: u64,
    pub now: DateTime<Utc>,
    pub fault: ResponseFault,
}

impl UserService {
    /// The list, or the record that `item` names.
    pub fn answer(&self, item: Option<&str>, query: &Query<'_>, context: &RecordContext) -> Reply {
        if let Some(item) = item {
            return self.item(item, context);
        }
        let page = match (self.page)(query, context.fault) {
            Ok(page) => page,
            Err(message) => return self.error_reply(StatusCode::BAD_REQUEST, Some(message)),
        };
        let first = page.skip.saturating_sub(page.shift_rows).min(self.total);
        let limit = page.limit.saturating_sub(page.missing_rows);
        let indexes = first..first.saturating_add(limit).min(self.total);
        let count = indexes.len();
        let records = indexes.map(|index| (self.record)(context, index)).collect();
        let body = (self.list)(records, page, query).to_string();
        let mut reply = Reply::ok(body).with_locations(count);
        if page.with_total {
            let total = (HeaderName::from_static("x-total-count"), HeaderValue::from(self.total));
            reply.headers.push(total);
        }
        reply
    }

    /// The answer that the service usually sends with an error status.
    pub fn usual_error(&self, status: StatusCode) -> Reply {
        self.error_reply(status, None)
    }

    fn item(&self, item: &str, context: &RecordContext) -> Reply {
        match item.parse::<usize>() {
            Ok(id) if (1..=self.total).contains(&id) => {
                Reply::ok((self.record)(context, id - 1).to_string()).with_locations(1)
            }
            Ok(id) => self
                .error_reply(StatusCode::NOT_FOUND, Some(format!("User with id '{id}' not found"))),
            Err(_) => {
                self.error_reply(self.invalid_item, Some(format!("Invalid user id '{item}'")))
            }
        }
    }

    fn error_reply(&self, status: StatusCode, message: Option<String>) -> Reply {
        Reply::json(status, (self.error)(status, message).to_string())
    }
}
