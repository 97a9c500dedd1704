//! Security headers, added to every answer.
//!
//! Guarantees: a page loads and runs only what this server serves, is never shown in a frame, and
//! sends its address to no other site. An answer without `Cache-Control` is not stored.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Forbids inline scripts and styles, so that the text of a city's name can never become either.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

pub fn add_security_headers(headers: &mut HeaderMap) {
    let html =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // `no-referrer` would remove the Origin from the page's own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_run_only_own_scripts() {
        let mut page = HeaderMap::new();
        page.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        add_security_headers(&mut page);
        let policy = page[CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(page[CACHE_CONTROL], "no-store");

        let mut kept = HeaderMap::new();
        kept.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        add_security_headers(&mut kept);
        assert_eq!(kept[CACHE_CONTROL], "max-age=60");
        assert!(!kept.contains_key(CONTENT_SECURITY_POLICY));
        assert_eq!(kept[X_FRAME_OPTIONS], "DENY");
    }
}
