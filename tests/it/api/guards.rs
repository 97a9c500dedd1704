//! Who may ask and what bad input is told: keys, hosts, origins, problems, health, the drain.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Api, is_problem, problem};
use crate::harness::http::{Http, send};
use crate::harness::wait::{PATIENCE, until};

#[tokio::test]
async fn bad_input_is_a_problem_with_the_parameter_named() {
    let api = Api::start().await;
    for path in [
        "/history?limit=0",
        "/history?limit=501",
        "/history/?limit=x",
        "/bulk/jobs?limit=-1",
        "/api/weather/?limit=501",
        "/history?cursor=nonsense",
        "/api/weather/?cursor=00",
        "/bulk/jobs?cursor=zz",
        "/weather",
        "/weather?city=",
        "/weather?city=Paris&country=FRA",
    ] {
        let reply = api.get(path).await;
        is_problem(&reply, 400, "invalid_parameter");
        assert!(reply.json()["errors"][0]["pointer"].is_string(), "{path}");
    }
    for path in [
        "/nowhere",
        "/api/weather/x/",
        "/api/weather/99999999999999999999/",
        "/api/weather/1",
        "/bulk/jobs/x",
        "/bulk/jobs/6fa1c1f0-52c4-4c39-9a55-000000000001/",
        "/bulk/jobs/6fa1c1f0-52c4-4c39-9a55-000000000001/results",
        "/bulk/jobs/%FF/results",
    ] {
        is_problem(&api.get(path).await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_method_or_a_content_type_that_has_no_meaning_is_a_problem() {
    let api = Api::start().await;
    for (method, path) in [
        (Method::POST, "/history"),
        (Method::DELETE, "/weather/"),
        (Method::GET, "/bulk/import"),
        (Method::PUT, "/api/sync/"),
    ] {
        let reply = send(api.http.request(method, path)).await.expect("an answer");
        is_problem(&reply, 405, "method_not_allowed");
        assert!(!reply.headers["allow"].is_empty());
    }
    let plain = api
        .http
        .request(Method::POST, "/bulk/import")
        .header("content-type", "text/csv")
        .body("city\nParis\n");
    is_problem(&send(plain).await.expect("an answer"), 415, "unsupported_media_type");
    let head = send(api.http.request(Method::HEAD, "/nowhere")).await.expect("an answer");
    assert_eq!((head.status.as_u16(), head.body.as_str()), (404, ""));
}

#[tokio::test]
async fn with_a_key_everything_but_the_open_routes_needs_it() {
    let api = Api::with(&[("ISOBAR_API_KEY", "s3cret")]).await;
    for path in ["/livez", "/healthz/", "/readyz", "/weather?city=Paris", "/api/weather/"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    for path in ["/history", "/cache", "/bulk/jobs", "/metrics", "/stream/", "/nowhere"] {
        is_problem(&api.get(path).await, 401, "unauthorized");
    }
    is_problem(&api.http.delete("/history").await, 401, "unauthorized");
    is_problem(&api.http.post("/api/sync/", &json!({})).await, 401, "unauthorized");
    for (name, value) in [("x-api-key", "s3cret"), ("authorization", "Bearer s3cret")] {
        let known = Http::with_header(&api.base, name, value);
        assert_eq!(known.get("/history").await.status, 200);
    }
    let wrong = Http::with_header(&api.base, "x-api-key", "s3cres");
    is_problem(&wrong.get("/history").await, 401, "unauthorized");
}

#[tokio::test]
async fn a_page_of_another_site_or_a_foreign_host_changes_nothing() {
    let api = Api::start().await;
    api.get("/weather?city=Paris").await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        for (method, path) in [(Method::DELETE, "/history"), (Method::POST, "/bulk/import")] {
            let asked = api.http.request(method, path).header(name, value);
            let (status, code) = problem(&send(asked).await.expect("an answer"));
            assert!(status == 403 && code.starts_with("forbidden"), "{name}: {code}");
        }
    }
    let items = api.get("/history").await.json();
    assert_eq!(items["items"].as_array().expect("items").len(), 1);
    let own = api.base.clone();
    let asked = api.http.request(Method::DELETE, "/history").header("origin", own);
    assert_eq!(send(asked).await.expect("an answer").status, 204);
}

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_harmless_and_made_if_not() {
    let api = Api::start().await;
    let with = async |id: &str| {
        let asked = api.http.request(Method::GET, "/nowhere").header("x-request-id", id);
        let reply = send(asked).await.expect("an answer");
        problem(&reply);
        reply.headers["x-request-id"].to_str().expect("text").to_owned()
    };
    assert_eq!(with("trace-7").await, "trace-7");
    assert_ne!(with("a b\"c").await, "a b\"c");
}

#[tokio::test]
async fn health_says_what_is_up_and_metrics_count_requests_by_route() {
    let api = Api::start().await;
    assert_eq!(
        api.get("/healthz").await.json(),
        json!({"status": "ok", "components": {"store": "ok", "broker": "ok", "upstream": "ok"}})
    );
    assert_eq!(api.get("/readyz").await.status, 200);
    api.get("/api/weather/4711/").await;
    let metrics = api.get("/metrics").await;
    assert!(metrics.headers["content-type"].to_str().expect("text").starts_with("text/plain"));
    let counted = metrics.body.lines().any(|line| {
        line.starts_with("isobar_http_requests_total{")
            && line.contains("route=\"/api/weather/{id}\"")
            && line.contains("status=\"404\"")
    });
    assert!(counted, "{}", metrics.body);
    assert!(metrics.body.contains("# HELP isobar_http_request_seconds"));
    assert!(!metrics.body.contains("4711"));
}

#[tokio::test]
async fn while_it_drains_readyz_is_503_and_the_request_in_flight_finishes() {
    let mut api = Api::start().await;
    api.fault(&json!({"endpoint": "/v1/forecast", "kind": "slow", "delay_ms": 3_000, "count": 1}))
        .await;
    let http = api.http.clone();
    let mut in_flight = tokio::task::JoinSet::new();
    in_flight.spawn(async move { http.get("/weather?city=Paris").await });
    until(PATIENCE, "the upstream has the request", async || api.forecasts().await == 1).await;

    api.shutdown.cancel();
    until(PATIENCE, "readyz says 503", async || {
        let fresh = Http::new(&api.base);
        fresh.try_get("/readyz").await.is_ok_and(|reply| reply.status == 503)
    })
    .await;
    let reply = in_flight.join_next().await.expect("one").expect("no panic");
    assert_eq!(reply.status, 200);
    api.stop().await;
    assert!(api.http.try_get("/livez").await.is_err());
    assert_eq!(api.store.searches(None, 10).await.expect("searches").len(), 1);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_spend_the_quota() {
    let api = Api::start().await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let asked = api.http.request(Method::GET, path);
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
        send(asked).await.expect("an answer")
    };
    let cross = ("sec-fetch-site", "cross-site");
    for path in ["/weather?city=Paris", "/weather/?city=Paris", "/air-quality?city=Paris"] {
        for rest in [
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")][..],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[],
        ] {
            let refused = ask(path, &[&[cross], rest].concat()).await;
            is_problem(&refused, 403, "forbidden_origin");
        }
    }
    assert_eq!(api.forecasts().await, 0);

    let link = [cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(ask("/weather?city=Paris", &link).await.status, 200, "a link that a person follows");
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
    assert_eq!(ask("/weather?city=Rome", &own).await.status, 200, "the page itself");
    let free = [cross, ("sec-fetch-mode", "no-cors")];
    assert_eq!(ask("/cities/?limit=1", &free).await.status, 200, "this costs nothing");
}

#[tokio::test]
async fn a_request_with_two_hosts_is_refused() {
    let api = Api::start().await;
    for second in ["localhost", "evil.example"] {
        for path in ["/livez", "/weather?city=Paris", "/nowhere"] {
            let asked = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nhost: {second}\r\nconnection: close\r\n\r\n"
            );
            let answer = raw_answer(&api, &asked).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{second} {path}: {answer}");
            assert!(answer.contains("\"code\":\"bad_request\""), "{answer}");
        }
    }
    assert_eq!(api.forecasts().await, 0);
}

/// What the server sends until it closes the connection.
async fn raw_answer(api: &Api, request: &str) -> String {
    let address = api.base.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.expect("connects");
    connection.write_all(request.as_bytes()).await.expect("asks");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer");
    answer
}
