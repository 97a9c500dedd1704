//! `/openapi.json` and `/docs`: the document, and Swagger UI to read it with.
//!
//! Guarantees: everything comes from this binary, so it works without a network. The page is our own.
//! Its paths are absolute, so it works with and without the final slash. It has no inline script,
//! because the content security policy allows none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use utoipa_swagger_ui::Config;

use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Isobar API</title>
  <link rel="icon" href="/docs/favicon-32x32.png">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <script src="/docs/swagger-ui-bundle.js" defer></script>
  <script src="/docs/start.js" defer></script>
</head>
<body>
  <noscript><p>This page needs JavaScript. <a href="/openapi.json">The document itself</a> does not.</p></noscript>
  <div id="swagger-ui"></div>
</body>
</html>
"#;

const START: &str = "SwaggerUIBundle({\
    url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null});\n";

/// The files of Swagger UI that the page uses.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// The files change only with the binary.
const KEEP: HeaderValue = HeaderValue::from_static("max-age=3600");

/// This document
#[utoipa::path(get, path = "/openapi.json", responses((
    status = 200, description = "OpenAPI 3.1", body = serde_json::Value,
)))]
pub async fn document(State(app): State<SharedState>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.openapi.clone())
}

/// This document as a page
#[utoipa::path(get, path = "/docs", responses((
    status = 200, description = "Swagger UI", body = String, content_type = "text/html",
)))]
pub async fn docs() -> Html<&'static str> {
    Html(PAGE)
}

/// A file of that page
#[utoipa::path(
    get,
    path = "/docs/{file}",
    params(("file" = String, Path, description = "file name")),
    responses((status = 200, description = "the file", content(
        (String = "text/css"), (String = "text/javascript"), (String = "image/png"),
    ))),
)]
pub async fn file(PathId(name): PathId<String>) -> Result<Response, Problem> {
    if name == "start.js" {
        return Ok(([(CONTENT_TYPE, "text/javascript")], START).into_response());
    }
    let unknown = || Problem::not_found("no such file");
    let name = FILES.into_iter().find(|known| *known == name).ok_or_else(unknown)?;
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default()))
        .ok()
        .flatten()
        .ok_or_else(unknown)?;
    let mut response = file.bytes.into_owned().into_response();
    let kind = HeaderValue::from_str(&file.content_type).map_err(Problem::internal)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, KEEP);
    if file.gzpipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
