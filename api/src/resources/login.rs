//! `/login` and `/logout`: the key for a browser, which can keep a cookie but sends no header.
//!
//! The key comes once, in a form; the answer is a session (`sessions`) in a cookie that no script
//! can read and no other site can use. The form works without JavaScript. Without a key there is
//! nothing to sign in to, and both lead to the page.

use std::time::Instant;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use utoipa::ToSchema;

use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::sessions::{LIFE, NAME};
use crate::state::Shared;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginForm<'a> {
    next: &'a str,
    wrong: bool,
}

/// What the form sends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its fields are what the document says of them")]
pub struct Login {
    key: String,
    /// Where to go then: a path of ours.
    #[schema(default = "/")]
    next: Option<String>,
}

/// The form to sign in with
#[utoipa::path(
    get,
    path = "/login",
    params(("next" = Option<String>, Query, description = "a path of ours to go to then")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "the form"),
        (status = 303, description = "there is no key, or it is known already",
         headers(("Location" = String, description = "`next`, or the page"))),
    ),
)]
pub async fn form(State(app): State<Shared>, params: Params, headers: HeaderMap) -> Response {
    let next = destination(&params);
    if app.access.knows(&headers) {
        return go_to(next);
    }
    page(&LoginForm { next, wrong: false }, StatusCode::OK)
}

/// Sign in
#[utoipa::path(
    post,
    path = "/login",
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "signed in", headers(
            ("Location" = String, description = "`next`, or the page"),
            ("Set-Cookie" = String, description = "the session"),
        )),
        (status = 401, description = "this is not the key; the form again for a browser", content(
            (String = "text/html"),
            (crate::http::problem::ProblemBody<'static> = "application/problem+json"),
        )),
    ),
)]
pub async fn sign_in(State(app): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body);
    let fields = Params::of(&text);
    let next = destination(&fields);
    if !app.access.is_key(fields.text("key").unwrap_or_default()) {
        if wants_html(&headers) {
            return page(&LoginForm { next, wrong: true }, StatusCode::UNAUTHORIZED);
        }
        return Problem::unauthorized("this is not the key").into_response();
    }
    let mut response = go_to(next);
    if app.access.has_key() {
        let secret = app.access.sessions.open(Instant::now());
        response.headers_mut().insert(SET_COOKIE, cookie(&secret, LIFE.as_secs(), &headers));
    }
    response
}

/// Sign out
#[utoipa::path(
    post,
    path = "/logout",
    responses((status = 303, description = "signed out", headers(
        ("Location" = String, description = "the form"),
        ("Set-Cookie" = String, description = "forgets the session"),
    ))),
)]
pub async fn sign_out(State(app): State<Shared>, headers: HeaderMap) -> Response {
    app.access.sessions.close(&headers);
    let mut response = go_to("/login");
    response.headers_mut().insert(SET_COOKIE, cookie("", 0, &headers));
    response
}

/// A browser that opens what needs the key is shown the form, and then what it asked for.
pub fn in_place_of(problem: Problem, request: &Request) -> Response {
    let page_of_a_browser = *request.method() == Method::GET && wants_html(request.headers());
    if problem.status != StatusCode::UNAUTHORIZED || !page_of_a_browser {
        return problem.into_response();
    }
    let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
    page(&LoginForm { next, wrong: false }, StatusCode::UNAUTHORIZED)
}

/// `next`, if it is a path of ours: no form of this page may lead to another site.
fn destination(params: &Params) -> &str {
    let ours = |path: &&str| {
        path.starts_with('/')
            && !path[1..].starts_with(['/', '\\'])
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    params.text("next").filter(ours).unwrap_or("/")
}

fn go_to(path: &str) -> Response {
    let location = HeaderValue::from_str(path).expect("a path of ours is plain text");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

fn page(form: &LoginForm<'_>, status: StatusCode) -> Response {
    match form.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Over TLS it is never sent without; that it came over TLS only the browser's Origin tells.
fn cookie(secret: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let tls = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if tls { "; Secure" } else { "" };
    format!("{NAME}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
        .parse()
        .expect("hexadecimal digits and words are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        let of = |query: &str| destination(&Params::of(query)).to_owned();
        for (query, expected) in [
            ("next=/bulk/jobs%3Flimit=5", "/bulk/jobs?limit=5"),
            ("next=", "/"),
            ("", "/"),
            ("next=//evil.example", "/"),
            ("next=/%5Cevil.example", "/"),
            ("next=https://evil.example", "/"),
            ("next=/a%0D%0Ab", "/"),
        ] {
            assert_eq!(of(query), expected, "{query}");
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_for_scripts_and_other_sites() {
        let plain = cookie("ab", 60, &HeaderMap::new());
        assert_eq!(plain, "isobar_session=ab; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        let headers =
            HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://w.example"))]);
        assert!(cookie("ab", 60, &headers).to_str().expect("text").ends_with("; Secure"));
    }
}
