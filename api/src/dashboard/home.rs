//! `GET /`: the page itself, whole as it is sent.
//!
//! A browser without the key is sent to `/login`. With `?city=` or `?city_id=` the page also says
//! what is known of a city ([`found`]); a script that wants only that takes it out of the page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::city_search;
use super::live::Seen;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::panels::format::Clock;
use crate::state::Shared;

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    seen: &'a Seen,
    stream: &'a str,
    at: Clock,
    keyed: bool,
    /// What was searched for, and what is known of it.
    city: &'a str,
    found: String,
    max_upload: String,
}

impl Page<'_> {
    fn panel(&self, name: &str) -> &str {
        self.seen.panels.get(name).map_or("", |html| html)
    }
}

/// The dashboard
#[utoipa::path(
    get,
    path = "/",
    params(
        ("city" = Option<String>, Query, description = "also what is known of the cities of this name"),
        ("city_id" = Option<i64>, Query, description = "also what is known of this city"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "the page"),
        (status = 303, description = "this needs the key",
         headers(("Location" = String, description = "the form to sign in with"))),
    ),
)]
pub async fn show(
    State(app): State<Shared>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !app.access.knows(&headers) {
        let form = HeaderValue::from_static("/login");
        return Ok((StatusCode::SEE_OTHER, [(LOCATION, form)]).into_response());
    }
    let seen: Arc<Seen> = app.live.now(&app).await.map_err(Problem::internal)?;
    let found = city_search::find(&app, &params).await?;
    let city = match (&found, params.text("city")) {
        (_, Some(city)) => city,
        (Some(found), None) => found.name(),
        (None, None) => "",
    };
    let page = Page {
        seen: &seen,
        stream: &app.settings.stream,
        at: Clock(seen.at),
        keyed: app.access.has_key(),
        city,
        found: found
            .as_ref()
            .map_or(Ok(String::new()), Template::render)
            .map_err(Problem::internal)?,
        max_upload: app.settings.max_upload.to_string(),
    };
    Ok(Html(page.render().map_err(Problem::internal)?).into_response())
}
