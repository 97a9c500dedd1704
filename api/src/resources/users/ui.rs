//! `GET /users/ui`: the list for people, whole without JavaScript.
//!
//! A form narrows it, links page it; both are plain queries, so that a view can be bookmarked.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use isobar_model::user::Card;
use isobar_store::UserRow;

use super::{Asked, one_line};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::Shared;

#[derive(Template)]
#[template(path = "users.html")]
struct Page {
    rows: Vec<Shown>,
    asked: Asked,
    query: String,
    /// The choices that were made, as the form names them.
    has_address: &'static str,
    has_card: &'static str,
    total: u64,
    /// Links to the neighbours, where there are any.
    previous: Option<String>,
    next: Option<String>,
}

/// A user as the page shows them.
struct Shown {
    user: UserRow,
    address: Option<String>,
    card: Option<String>,
}

impl Page {
    fn from(&self) -> u64 {
        if self.rows.is_empty() { 0 } else { self.asked.offset + 1 }
    }

    fn to(&self) -> u64 {
        self.asked.offset + self.rows.len() as u64
    }
}

/// Users, as a page
#[utoipa::path(
    get,
    path = "/users/ui",
    params(super::Paging),
    responses((status = 200, body = String, content_type = "text/html", description = "the page")),
)]
pub async fn page(State(app): State<Shared>, params: Params) -> Result<Html<String>, Problem> {
    let asked = Asked::read(&params)?;
    let Asked { filter, limit, offset } = &asked;
    let (rows, total) =
        tokio::join!(app.store.users(filter, *offset, *limit), app.store.count_users(filter));
    let (rows, total) = (rows?, total?);
    let end = offset + rows.len() as u64;
    let page = Page {
        previous: (*offset > 0).then(|| link(&asked, offset.saturating_sub(u64::from(*limit)))),
        next: (end < total).then(|| link(&asked, end)),
        query: filter.search.clone().unwrap_or_default(),
        has_address: choice(filter.has_address),
        has_card: choice(filter.has_card),
        rows: rows.into_iter().map(Shown::from).collect(),
        asked,
        total,
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

impl From<UserRow> for Shown {
    fn from(row: UserRow) -> Self {
        let card = row.card.as_ref().map(|card| Card::masked(&card.last4));
        Self { address: one_line(&row), card, user: row }
    }
}

fn choice(chosen: Option<bool>) -> &'static str {
    match chosen {
        None => "",
        Some(true) => "true",
        Some(false) => "false",
    }
}

/// The same view from another user on.
fn link(asked: &Asked, offset: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let filter = &asked.filter;
    for (name, value) in [
        ("q", filter.search.clone()),
        ("has_address", filter.has_address.map(|has| has.to_string())),
        ("has_card", filter.has_card.map(|has| has.to_string())),
        ("external_id", filter.external_id.map(|id| id.to_string())),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.append_pair("limit", &asked.limit.to_string());
    query.append_pair("offset", &offset.to_string());
    format!("/users/ui?{}", query.finish())
}
