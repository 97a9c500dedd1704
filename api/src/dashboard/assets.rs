//! `/assets/{file}`: styles, scripts and the icon, from this binary.
//!
//! Guarantees: the files are served as they are in `api/assets/`, without a build step. Each has an
//! ETag of its content. A browser revalidates every time, so a page never runs with scripts of another
//! binary.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::http::etag::is_known;
use crate::http::params::PathId;
use crate::http::problem::Problem;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    etag: String,
}

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        vec![$(asset($name, $kind, include_str!(concat!("../../assets/", $name)))),*]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    assets! {
        "page.css": CSS,
        "favicon.svg": SVG,
        "page.js": SCRIPT,
        "live.js": SCRIPT,
        "morph.js": SCRIPT,
        "clock.js": SCRIPT,
        "forms.js": SCRIPT,
        "import.js": SCRIPT,
        "map.js": SCRIPT,
        "search.js": SCRIPT,
        "messages.js": SCRIPT,
    }
});

fn asset(name: &'static str, kind: &'static str, text: &'static str) -> Asset {
    let etag = format!("\"{}\"", &format!("{:x}", Sha256::digest(text))[..16]);
    Asset { name, kind, text, etag }
}

/// A file of the dashboard
#[utoipa::path(
    get,
    path = "/assets/{file}",
    params(("file" = String, Path, description = "file name")),
    responses(
        (status = 200, description = "the file", headers(("ETag" = String, description = "tag of its content")),
         content((String = "text/css"), (String = "text/javascript"), (String = "image/svg+xml"))),
        (status = 304, description = "not modified"),
    ),
)]
pub async fn file(PathId(name): PathId<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("no such file");
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(unknown)?;
    let etag = HeaderValue::from_str(&asset.etag).expect("hexadecimal digits");
    let common = [(ETAG, etag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known(headers.get(IF_NONE_MATCH), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, asset.kind)], asset.text).into_response())
}
