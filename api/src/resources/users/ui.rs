//! `GET /users/ui`: the list of users as a page, complete without JavaScript.
//!
//! A form filters it and links page it. Both are plain queries, so a view can be bookmarked.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use isobar_model::user::Card;
use isobar_store::UserRow;

use super::query::{UserPaging, UserQuery};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    rows: Vec<UserPageRow>,
    query: UserQuery,
    /// The values of the form's fields.
    search: String,
    has_address: &'static str,
    has_card: &'static str,
    total: u64,
    /// Links to the neighbouring pages.
    previous: Option<String>,
    next: Option<String>,
}

struct UserPageRow {
    user: UserRow,
    address: Option<String>,
    card: Option<String>,
}

impl UsersPage {
    fn from(&self) -> u64 {
        if self.rows.is_empty() { 0 } else { self.query.offset + 1 }
    }

    fn to(&self) -> u64 {
        self.query.offset + self.rows.len() as u64
    }
}

/// Users (HTML page)
#[utoipa::path(
    get,
    path = "/users/ui",
    params(UserPaging),
    responses((status = 200, body = String, content_type = "text/html", description = "the page")),
)]
pub async fn page(State(app): State<SharedState>, params: Params) -> Result<Html<String>, Problem> {
    let query = UserQuery::read(&params)?;
    let UserQuery { filter, limit, offset } = &query;
    let (rows, total) =
        tokio::join!(app.store.users(filter, *offset, *limit), app.store.count_users(filter));
    let (rows, total) = (rows?, total?);
    let end = offset + rows.len() as u64;
    let page = UsersPage {
        previous: (*offset > 0).then(|| link(&query, offset.saturating_sub(u64::from(*limit)))),
        next: (end < total).then(|| link(&query, end)),
        search: filter.search.clone().unwrap_or_default(),
        has_address: choice(filter.has_address),
        has_card: choice(filter.has_card),
        rows: rows.into_iter().map(UserPageRow::from).collect(),
        query,
        total,
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

impl From<UserRow> for UserPageRow {
    fn from(row: UserRow) -> Self {
        let card = row.card.as_ref().map(|card| Card::masked(&card.last4));
        Self { address: one_line(&row), card, user: row }
    }
}

fn choice(value: Option<bool>) -> &'static str {
    match value {
        None => "",
        Some(true) => "true",
        Some(false) => "false",
    }
}

/// The same query at another offset.
fn link(query: &UserQuery, offset: u64) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    let filter = &query.filter;
    for (name, value) in [
        ("q", filter.search.clone()),
        ("has_address", filter.has_address.map(|has| has.to_string())),
        ("has_card", filter.has_card.map(|has| has.to_string())),
        ("external_id", filter.external_id.map(|id| id.to_string())),
    ] {
        if let Some(value) = value {
            pairs.append_pair(name, &value);
        }
    }
    pairs.append_pair("limit", &query.limit.to_string());
    pairs.append_pair("offset", &offset.to_string());
    format!("/users/ui?{}", pairs.finish())
}

/// `12 Main Street, Ely 0123, Norway`.
fn one_line(row: &UserRow) -> Option<String> {
    let address = row.address.as_ref()?;
    let join = |parts: [Option<&str>; 2]| {
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    };
    let street = join([address.street_number.as_deref(), Some(&address.street_name)]);
    let city = join([Some(&address.city), address.postal_code.as_deref()]);
    let parts = [street, city, address.state.clone(), address.country.clone()];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
