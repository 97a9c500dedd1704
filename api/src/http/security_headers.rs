//! Headers that tell a browser what it must not do with an answer.
//!
//! Every answer has them, pages most of all: nothing is loaded or run but what this server serves,
//! nothing of ours stands in a frame, and nobody is told from which of our addresses a link was
//! followed. An answer that does not say how long it may be kept is not to be kept.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// No inline script and no inline style, so that text of a city's name can never become either.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

pub fn guard(headers: &mut HeaderMap) {
    let html =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // `no-referrer` would take the Origin from our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_nothing_but_ours_and_what_says_nothing_is_not_kept() {
        let mut page = HeaderMap::new();
        page.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        guard(&mut page);
        let policy = page[CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(page[CACHE_CONTROL], "no-store");

        let mut kept = HeaderMap::new();
        kept.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        guard(&mut kept);
        assert_eq!(kept[CACHE_CONTROL], "max-age=60");
        assert!(!kept.contains_key(CONTENT_SECURITY_POLICY));
        assert_eq!(kept[X_FRAME_OPTIONS], "DENY");
    }
}
