//! `/login` and `/logout`: the key for a browser, which can keep a cookie but sends no header.
//!
//! Guarantees: the key is sent once, in a form that works without JavaScript. The answer is a session
//! in a cookie that scripts cannot read and other sites cannot use. Wrong keys are slowed down. If no key is set, both routes lead
//! to the dashboard.
//! Next: `http/sessions.rs`, `http/key_guesses.rs`.

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, HeaderMap, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use chrono::Utc;
use isobar_model::human::plural;
use utoipa::ToSchema;

use crate::http::connection::ConnectionAddrs;
use crate::http::params::Params;
use crate::http::problem::{Problem, seconds_up};
use crate::http::sessions::{LIFETIME, NAME};
use crate::state::SharedState;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginForm<'a> {
    next: &'a str,
    /// Why the key that was sent is not accepted.
    refusal: &'a str,
}

/// The form's fields as the document describes them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct Login {
    key: String,
    /// Path of this server to go to after the sign-in.
    #[schema(default = "/")]
    next: Option<String>,
}

/// Login form
#[utoipa::path(
    get,
    path = "/login",
    params(("next" = Option<String>, Query, description = "path of this server to go to after the sign-in")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "the form"),
        (status = 303, description = "no key is set, or already signed in",
         headers(("Location" = String, description = "`next`, or the dashboard"))),
    ),
)]
pub async fn form(
    State(app): State<SharedState>,
    params: Params,
    addrs: Option<Extension<ConnectionAddrs>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let next = destination(&params);
    if app.access.authorise(&headers, addrs.map(|Extension(addrs)| addrs))? {
        return Ok(go_to(next));
    }
    Ok(page(&LoginForm { next, refusal: "" }, StatusCode::OK))
}

/// Sign in
#[utoipa::path(
    post,
    path = "/login",
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "signed in", headers(
            ("Location" = String, description = "`next`, or the dashboard"),
            ("Set-Cookie" = String, description = "the session"),
        )),
        (status = 401, description = "wrong key; a browser gets the form again", content(
            (String = "text/html"),
            (crate::http::problem::ProblemBody<'static> = "application/problem+json"),
        )),
        (status = 429, description = "`too_many_guesses`, or rate limit exceeded; a browser gets the form again", content(
            (String = "text/html"),
            (crate::http::problem::ProblemBody<'static> = "application/problem+json"),
        )),
    ),
)]
pub async fn sign_in(
    State(app): State<SharedState>,
    addrs: Option<Extension<ConnectionAddrs>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = String::from_utf8_lossy(&body);
    let fields = Params::from_query(&text);
    let next = destination(&fields);
    let key = fields.text("key").unwrap_or_default().as_bytes();
    let problem = match app.access.is_key(key, addrs.map(|Extension(addrs)| addrs)) {
        Ok(true) => None,
        Ok(false) => Some(Problem::unauthorized("wrong API key")),
        Err(problem) => Some(problem),
    };
    if let Some(problem) = problem {
        return if wants_html(&headers) {
            refused(next, &problem)
        } else {
            problem.into_response()
        };
    }
    let mut response = go_to(next);
    if let Some(sessions) = &app.access.sessions {
        let secret = sessions.open(Utc::now());
        response.headers_mut().insert(SET_COOKIE, cookie(&secret, LIFETIME.as_secs(), &headers));
    }
    response
}

/// Sign out
#[utoipa::path(
    post,
    path = "/logout",
    responses((status = 303, description = "signed out", headers(
        ("Location" = String, description = "the login form"),
        ("Set-Cookie" = String, description = "removes the session"),
    ))),
)]
pub async fn sign_out(State(app): State<SharedState>, headers: HeaderMap) -> Response {
    if let Some(sessions) = &app.access.sessions {
        sessions.close(&headers, Utc::now());
    }
    let mut response = go_to("/login");
    response.headers_mut().insert(SET_COOKIE, cookie("", 0, &headers));
    response
}

/// A browser without the key gets the login form, which then leads to the requested page.
pub fn login_instead_of(problem: Problem, request: &Request) -> Response {
    let is_page_request = *request.method() == Method::GET && wants_html(request.headers());
    if problem.status != StatusCode::UNAUTHORIZED || !is_page_request {
        return problem.into_response();
    }
    let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
    page(&LoginForm { next, refusal: "" }, StatusCode::UNAUTHORIZED)
}

/// The form again, with the reason.
fn refused(next: &str, problem: &Problem) -> Response {
    let Some(pause) = problem.retry_after else {
        return page(&LoginForm { next, refusal: "Wrong API key." }, problem.status);
    };
    let seconds = seconds_up(pause);
    let refusal = format!("Too many wrong keys. Try again in {}.", plural(seconds, "second"));
    let mut response = page(&LoginForm { next, refusal: &refusal }, problem.status);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// `next` if it is a path of this server, so that the form never leads to another site.
fn destination(params: &Params) -> &str {
    let is_own_path = |path: &&str| {
        path.starts_with('/')
            && !path[1..].starts_with(['/', '\\'])
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    params.text("next").filter(is_own_path).unwrap_or("/")
}

fn go_to(path: &str) -> Response {
    let location = HeaderValue::from_str(path).expect("checked to be printable ASCII");
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

/// `Secure` if the browser's Origin is HTTPS: this server itself does not see TLS.
fn cookie(secret: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let tls = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if tls { "; Secure" } else { "" };
    format!("{NAME}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
        .parse()
        .expect("digits and words are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_never_leads_to_another_site() {
        let next = |query: &str| destination(&Params::from_query(query)).to_owned();
        for (query, expected) in [
            ("next=/bulk/jobs%3Flimit=5", "/bulk/jobs?limit=5"),
            ("next=", "/"),
            ("", "/"),
            ("next=//evil.example", "/"),
            ("next=/%5Cevil.example", "/"),
            ("next=https://evil.example", "/"),
            ("next=/a%0D%0Ab", "/"),
        ] {
            assert_eq!(next(query), expected, "{query}");
        }
    }

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        let plain = cookie("ab", 60, &HeaderMap::new());
        assert_eq!(plain, "isobar_session=ab; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        let headers =
            HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://w.example"))]);
        assert!(cookie("ab", 60, &headers).to_str().expect("text").ends_with("; Secure"));
    }
}
