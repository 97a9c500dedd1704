//! Who may see what, and what a browser is told: sign-in, headers, what GET may do, what logs hold.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, is_problem};
use crate::harness::http::{Http, Reply, send};
use crate::harness::isobar::Isobar;
use crate::harness::wait::{PATIENCE, until};

const KEY: &str = "k3y-that-nobody-may-read";

async fn post(http: &Http, path: &str, form: &str, headers: &[(&str, &str)]) -> Reply {
    let request = http
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request).await.expect("an answer")
}

/// Name and value of the cookie that an answer sets.
fn cookie(reply: &Reply) -> String {
    let set = reply.headers["set-cookie"].to_str().expect("text");
    set.split(';').next().expect("a cookie").to_owned()
}

#[tokio::test]
async fn a_browser_signs_in_with_the_key_and_its_cookie_counts_as_the_key_until_it_signs_out() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    let form = api.get("/login/?next=/bulk/jobs").await;
    assert!(form.status == 200 && form.body.contains("value=\"/bulk/jobs\""), "{}", form.body);

    is_problem(&post(&api.http, "/login", "key=wrong", &[]).await, 401, "unauthorized");
    is_problem(&post(&api.http, "/login", "", &[]).await, 401, "unauthorized");
    let browser = [("accept", "text/html,*/*")];
    let again = post(&api.http, "/login", "key=wrong&next=/stream", &browser).await;
    assert!(again.status == 401 && again.body.contains("value=\"/stream\""), "{}", again.body);
    assert!(!again.headers.contains_key("set-cookie"));
    let page = Http::with_header(&api.base, "accept", "text/html,*/*");
    let form = page.get("/history?limit=5").await;
    assert!(
        form.status == 401 && form.body.contains("value=\"/history?limit=5\""),
        "{}",
        form.body
    );
    is_problem(&page.delete("/history").await, 401, "unauthorized");

    let own = [("origin", api.base.as_str()), ("sec-fetch-site", "same-origin")];
    let signed_in = post(&api.http, "/login", &format!("key={KEY}&next=/stream"), &own).await;
    assert_eq!(
        (signed_in.status.as_u16(), &signed_in.headers["location"]),
        (303, &"/stream".parse().expect("a value"))
    );
    let set = signed_in.headers["set-cookie"].to_str().expect("text");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(KEY));

    let session = cookie(&signed_in);
    let known = Http::with_header(&api.base, "cookie", &session);
    assert_eq!(known.get("/history").await.status, 200);
    assert_eq!(known.delete("/history").await.status, 204);
    assert_eq!(known.get("/login").await.status, 303, "it is known already");
    for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "same-site")] {
        let asked = known.request(Method::DELETE, "/history").header(foreign.0, foreign.1);
        is_problem(&send(asked).await.expect("an answer"), 403, "forbidden_origin");
    }
    let other = Http::with_header(&api.base, "cookie", "isobar_session=0000");
    is_problem(&other.get("/history").await, 401, "unauthorized");

    let signed_out = post(&known, "/logout/", "", &[]).await;
    assert_eq!(signed_out.status, 303);
    assert!(signed_out.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    is_problem(&known.get("/history").await, 401, "unauthorized");
}

#[tokio::test]
async fn a_sign_in_is_valid_for_every_server_with_the_key() {
    let first = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    let data = first.settings.data_dir.0.to_string_lossy().into_owned();
    let shared = [("ISOBAR_API_KEY", KEY), ("ISOBAR_DATA_DIR", data.as_str())];
    let sign_in = async || cookie(&post(&first.http, "/login", &format!("key={KEY}"), &[]).await);
    let (session, other_session) = (sign_in().await, sign_in().await);
    // As after a restart, or as a second server of the data folder.
    let second = Api::with(&shared).await;
    let known = Http::with_header(&second.base, "cookie", &session);
    assert_eq!(known.get("/history").await.status, 200);
    let new_key = [("ISOBAR_API_KEY", "another"), shared[1]];
    let rekeyed = Api::with(&new_key).await;
    let unknown = Http::with_header(&rekeyed.base, "cookie", &session);
    is_problem(&unknown.get("/history").await, 401, "unauthorized");

    assert_eq!(post(&known, "/logout", "", &[]).await.status, 303);
    for api in [&first, &second, &Api::with(&shared).await] {
        let signed_out = Http::with_header(&api.base, "cookie", &session);
        is_problem(&signed_out.get("/history").await, 401, "unauthorized");
        let other = Http::with_header(&api.base, "cookie", &other_session);
        assert_eq!(other.get("/history").await.status, 200);
    }
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_sign_in_nor_out() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    for path in ["/login", "/logout"] {
        let form = format!("key={KEY}");
        let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
        let refused = post(&api.http, path, &form, &foreign).await;
        is_problem(&refused, 403, "forbidden_origin");
        assert!(!refused.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn without_a_key_there_is_nothing_to_sign_in_to() {
    let api = Api::start().await;
    for reply in [api.get("/login").await, post(&api.http, "/login", "key=any", &[]).await] {
        assert_eq!((reply.status.as_u16(), reply.headers["location"].as_bytes()), (303, &b"/"[..]));
        assert!(!reply.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn every_answer_tells_a_browser_what_it_must_not_do_with_it() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    let keyed = Http::with_header(&api.base, "x-api-key", KEY);
    for path in ["/weather?city=Paris", "/history", "/nowhere", "/docs", "/login", "/livez"] {
        for reply in [api.get(path).await, keyed.get(path).await] {
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(reply.headers[name], value, "{path}");
            }
            assert!(reply.headers.contains_key("cache-control"), "{path}");
        }
    }
    for path in ["/history", "/stream", "/bulk/jobs", "/metrics", "/nowhere"] {
        assert_eq!(keyed.get(path).await.headers["cache-control"], "no-store", "{path}");
        assert_eq!(api.get(path).await.headers["cache-control"], "no-store", "{path}");
    }
    for page in ["/docs", "/docs/", "/login"] {
        let policy = api.get(page).await.headers["content-security-policy"].clone();
        let policy = policy.to_str().expect("text");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
    }
}

#[tokio::test]
async fn the_docs_need_nothing_from_elsewhere_and_no_key() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    let page = api.get("/docs").await;
    assert_eq!(api.get("/docs/").await.body, page.body);
    let loaded: Vec<&str> = page
        .body
        .split(['"', '\''])
        .filter(|text| text.starts_with('/') && !text.ends_with('>'))
        .collect();
    assert!(loaded.len() >= 4 && !page.body.contains("//"), "{}", page.body);
    for file in loaded {
        assert_eq!(api.get(file).await.status, 200, "{file}");
    }
    assert_eq!(api.get("/docs/swagger-ui.css").await.headers["content-type"], "text/css");
    is_problem(&api.get("/docs/index.html").await, 404, "not_found");
    is_problem(&api.get("/docs/..%2F..%2Fetc%2Fpasswd").await, 404, "not_found");
}

#[tokio::test]
async fn reading_never_changes_anything() {
    let api = Api::start().await;
    let taken = api.http.post("/api/sync/", &json!({})).await;
    assert_eq!(taken.status, 202);
    let document = api.get("/openapi.json").await.json();
    // The rate is measured between two reads.
    let jobs = async || {
        let mut jobs = api.get("/bulk/jobs").await.json();
        jobs["items"][0].as_object_mut().expect("a job").remove("rate_per_s");
        jobs
    };
    let before = jobs().await;
    let totals = format!("{:?}", api.store.totals().await.expect("totals"));
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path =
            path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{file}", "x");
        let Some(read) = item.get("get") else {
            is_problem(&api.get(&path).await, 405, "method_not_allowed");
            continue;
        };
        if read["responses"]["200"]["content"].get("text/event-stream").is_some() {
            continue;
        }
        for query in ["", "?force=true&dry_run=false&path=a.csv&key=x"] {
            let status = api.get(&format!("{path}{query}")).await.status;
            assert!(!status.is_server_error(), "{path}: {status}");
        }
    }
    assert_eq!(jobs().await, before);
    assert_eq!(format!("{:?}", api.store.totals().await.expect("totals")), totals);
}

#[tokio::test]
async fn no_secret_and_no_query_is_ever_logged() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let upstream_key = "0penweather-s3cret";
    let up = Isobar::new(dir.path())
        .env("ISOBAR_LISTEN", "127.0.0.1:0")
        .env("ISOBAR_API_KEY", KEY)
        .env("ISOBAR_WEATHER_PROVIDER", "openweather")
        .env("ISOBAR_OPENWEATHER_API_KEY", upstream_key)
        .env("ISOBAR_LOG", "trace")
        .env("ISOBAR_LOG_FORMAT", "json")
        .args(["up", "--sim"])
        .spawn();
    let said = up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let base = said.trim_start_matches("listening on ").to_owned();
    let anyone = Http::new(&base);
    let keyed = Http::with_header(&base, "x-api-key", KEY);
    until(PATIENCE, "the API answers", async || {
        anyone.try_get("/readyz").await.is_ok_and(|reply| reply.status == 200)
    })
    .await;

    let signed_in = post(&anyone, "/login", &format!("key={KEY}"), &[]).await;
    let session = cookie(&signed_in);
    assert_eq!(Http::with_header(&base, "cookie", &session).get("/history").await.status, 200);
    assert_eq!(post(&anyone, "/login", "key=gu3ssed-key", &[]).await.status, 401);
    let bearer = Http::with_header(&base, "authorization", &format!("Bearer {KEY}"));
    assert_eq!(bearer.get("/stream").await.status, 200);
    let wrong = Http::with_header(&base, "x-api-key", "gu3ssed-key");
    assert_eq!(wrong.get("/stream").await.status, 401);
    assert_eq!(anyone.get("/weather?city=Reykjavik").await.status, 200);
    keyed.post("/bulk/import", &json!({"path": "b0dy-of-a-request.csv"})).await;
    keyed.get("/nowhere?q=qu3ry-of-a-request").await;
    until(PATIENCE, "the last request is logged", async || {
        up.stderr_so_far().contains("\"path\":\"/nowhere\"")
    })
    .await;

    let logged = up.stderr_so_far();
    let secret = session.split('=').nth(1).expect("a value");
    for hidden in [KEY, secret, upstream_key, "gu3ssed", "b0dy-of", "qu3ry-of", "Reykjavik"] {
        let line = logged.lines().find(|line| line.contains(hidden));
        assert_eq!(line, None, "{hidden}");
    }
    let answered = logged.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(answered.filter(|line| line["msg"] == "answered").count() >= 8);
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_a_key_or_the_start_is_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for command in [&["serve"][..], &["up", "--sim"]] {
        let refused = Isobar::new(dir.path())
            .env("ISOBAR_LISTEN", "0.0.0.0:0")
            .args(command.iter().copied())
            .run()
            .await
            .expect_code(78);
        assert!(refused.stderr.contains("ISOBAR_API_KEY"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn guesses_of_the_key_are_slowed_and_the_right_key_works_after_the_wait() {
    for by_form in [true, false] {
        let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
        let attempt = async |key: &str| {
            if by_form {
                post(&api.http, "/login", &format!("key={key}"), &[]).await
            } else {
                Http::with_header(&api.base, "x-api-key", key).get("/history").await
            }
        };
        let session = cookie(&post(&api.http, "/login", &format!("key={KEY}"), &[]).await);
        let mut refused = None;
        for guess in 0..40 {
            let reply = attempt(&format!("guess-{guess}")).await;
            if reply.status == 429 {
                refused = Some(reply);
                break;
            }
            is_problem(&reply, 401, "unauthorized");
        }
        let refused = refused.expect("forty guesses are too many");
        is_problem(&refused, 429, "too_many_guesses");
        let wait = refused.headers["retry-after"].to_str().expect("text").parse::<u64>();
        assert!((1..=60).contains(&wait.expect("seconds")));

        is_problem(&attempt(KEY).await, 429, "too_many_guesses");
        let known = Http::with_header(&api.base, "cookie", &session);
        assert_eq!(known.get("/history").await.status, 200, "who is signed in stays so");
        assert_eq!(api.get("/weather?city=Paris").await.status, 200, "no key is needed here");
        until(PATIENCE, "the right key works after the wait", async || {
            let status = attempt(KEY).await.status;
            status == 200 || status == 303
        })
        .await;
    }
}

#[tokio::test]
async fn no_route_tells_a_guess_from_the_key_while_guesses_must_wait() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    // Guesses are forgiven with time, so there are enough of them before each look.
    let mut guess = 0;
    let mut until_they_wait = async || {
        for _ in 0..1_000 {
            guess += 1;
            let guesser = Http::with_header(&api.base, "x-api-key", &format!("guess-{guess}"));
            if guesser.get("/stream").await.status == 429 {
                return;
            }
        }
        panic!("a thousand guesses were answered");
    };
    let (guessed, right) = (
        Http::with_header(&api.base, "x-api-key", "guess"),
        Http::with_header(&api.base, "authorization", &format!("Bearer {KEY}")),
    );
    for path in ["/login", "/", "/history", "/nowhere"] {
        until_they_wait().await;
        let status = right.get(path).await.status;
        assert_eq!(status, guessed.get(path).await.status, "{path}");
        assert_ne!(status, 303, "{path}");
    }
    until_they_wait().await;
    let page = Http::with_header(&api.base, "accept", "text/html");
    let again = post(&page, "/login", &format!("key={KEY}"), &[]).await;
    assert!(again.status == 429 && again.headers.contains_key("retry-after"), "{again:?}");
    assert!(again.body.contains("Too many wrong keys"), "{}", again.body);
}

#[tokio::test]
async fn a_wrong_key_that_is_sent_again_and_again_is_one_guess() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    let outdated = Http::with_header(&api.base, "x-api-key", "the-key-of-last-year");
    for _ in 0..100 {
        is_problem(&outdated.get("/history").await, 401, "unauthorized");
    }
    let known = Http::with_header(&api.base, "x-api-key", KEY);
    assert_eq!(known.get("/history").await.status, 200);
}
