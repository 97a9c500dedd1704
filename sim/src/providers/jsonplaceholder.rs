//! JSONPlaceholder: `/users` lists the same ten users for every client and seed.
//!
//! Guarantees: the list is an array without an envelope, coordinates are text, and an unknown
//! number is a 404 with an empty object. `_page` and `_limit` select a page and add
//! `X-Total-Count`; other parameters have no effect.
//! Does not: filter, sort, send `Link` or accept writes.
//! Next: [`super::user_service`], the handler.

use std::sync::LazyLock;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::user_service::{Page, UserService};
use crate::query::Query;

/// The data of the real service.
static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/jsonplaceholder.json")).expect("embedded JSON")
});

pub const USERS: UserService = UserService {
    total: 10,
    page: |query, _| Ok(page(query)),
    record: |_, index| RECORDS[index].clone(),
    list: |users, _, _| users.into(),
    invalid_item: StatusCode::NOT_FOUND,
    error: |_, _| json!({}),
};

fn page(query: &Query<'_>) -> Page {
    let number = |name| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (page, limit) = (number("_page"), number("_limit"));
    let with_total = page.is_some() || limit.is_some();
    let limit = limit.unwrap_or(USERS.total);
    let skip = page.unwrap_or(1).saturating_sub(1).saturating_mul(limit);
    Page { skip, limit, with_total, ..Page::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::user_service::RecordContext;
    use crate::reply::Reply;

    fn answer(item: Option<&str>, query: &str) -> Reply {
        USERS.answer(item, &Query::parse(query, b""), &RecordContext::default())
    }

    fn list(query: &str) -> Value {
        serde_json::from_slice(&answer(None, query).body).unwrap()
    }

    #[test]
    fn unknown_parameters_have_no_effect() {
        for query in ["", "limit=3", "has_address=false"] {
            assert_eq!(list(query).as_array().unwrap().len(), 10, "{query}");
        }
        assert_eq!(list("")[0]["email"], "Sincere@april.biz");
        assert_eq!(list("")[0]["address"]["geo"]["lat"], "-37.3159");
    }

    #[test]
    fn page_and_limit_select_a_page() {
        assert_eq!(list("_page=2&_limit=4")[0]["id"], 5);
        assert_eq!(list("_page=4&_limit=4"), json!([]));
        let paged = answer(None, "_limit=3");
        assert!(paged.headers.iter().any(|(name, value)| name == "x-total-count" && value == "10"));
    }

    #[test]
    fn items_are_objects_or_a_404() {
        let one: Value = serde_json::from_slice(&answer(Some("10"), "").body).unwrap();
        assert_eq!(one["username"], "Moriah.Stanton");
        for unknown in ["0", "11", "x"] {
            assert_eq!(answer(Some(unknown), "").status, 404, "{unknown}");
        }
    }
}
