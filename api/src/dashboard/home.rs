//! `GET /`: the dashboard, complete as it is sent.
//!
//! A browser without the key is redirected to `/login`. With `?city=` or `?city_id=` the page also
//! shows that city ([`city_search`]); the page's script takes that part out of the response.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::{city_search, refresh};
use crate::http::connection::ConnectionAddrs;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::panels::format::UtcTime;
use crate::state::SharedState;
use crate::state::viewers::RenderedSnapshot;

#[derive(Template)]
#[template(path = "page.html")]
struct HomePage<'a> {
    snapshot: &'a RenderedSnapshot,
    stream: &'a str,
    at: UtcTime,
    keyed: bool,
    /// The search field's text, and the result.
    city: &'a str,
    found: String,
    max_upload: String,
}

impl HomePage<'_> {
    fn panel(&self, name: &str) -> &str {
        self.snapshot.panels.get(name).map_or("", |html| html)
    }
}

/// The dashboard
#[utoipa::path(
    get,
    path = "/",
    params(
        ("city" = Option<String>, Query, description = "also show the city with this name"),
        ("city_id" = Option<i64>, Query, description = "also show this city"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "the page"),
        (status = 303, description = "API key required",
         headers(("Location" = String, description = "the login form"))),
    ),
)]
pub async fn show(
    State(app): State<SharedState>,
    params: Params,
    addrs: Option<Extension<ConnectionAddrs>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !app.access.authorise(&headers, addrs.map(|Extension(addrs)| addrs))? {
        let form = HeaderValue::from_static("/login");
        return Ok((StatusCode::SEE_OTHER, [(LOCATION, form)]).into_response());
    }
    let snapshot: Arc<RenderedSnapshot> =
        refresh::current(&app).await.map_err(Problem::internal)?;
    let found = city_search::find(&app, &params).await?;
    let city = match (&found, params.text("city")) {
        (_, Some(city)) => city,
        (Some(found), None) => found.name(),
        (None, None) => "",
    };
    let page = HomePage {
        snapshot: &snapshot,
        stream: &app.settings.stream,
        at: UtcTime(snapshot.at),
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
