//! `/openapi.json`: the document as this server has it.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// It is the same for every request, and making it costs a millisecond.
static TEXT: LazyLock<String> = LazyLock::new(super::text);

/// This document
#[utoipa::path(get, path = "/openapi.json", responses((
    status = 200, description = "OpenAPI 3.1", body = serde_json::Value,
)))]
pub async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}
