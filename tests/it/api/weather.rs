//! `/weather`: what is asked of whom, what is served when nobody answers, and its headers.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{Api, is_problem};
use crate::harness::http::send;
use crate::harness::port::free_port;
use crate::harness::wait::{PATIENCE, until};

const PARIS: i64 = 2_988_507;

#[tokio::test]
async fn the_first_request_is_a_miss_and_the_next_one_a_hit_with_the_same_weather() {
    let api = Api::start().await;
    let expected = api.sim.get(&format!("/_sim/expected?city_id={PARIS}")).await.json();

    let miss = api.get("/weather?city=Paris&country=").await;
    assert_eq!(miss.status, 200, "{}", miss.body);
    let body = miss.json();
    for field in ["temperature", "windspeed", "winddirection", "weathercode", "humidity"] {
        assert_eq!(body[field], expected[field], "{field}: {body}");
    }
    assert_eq!(body["city"], "Paris");
    assert_eq!(body["city_id"], PARIS);
    assert_eq!(body["country_code"], "FR");
    assert_eq!(body["source"], "open-meteo");
    assert_eq!(body["cache"], "miss");
    assert_eq!(miss.headers["x-cache"], "miss");
    assert!(body["candidates"].as_u64() > Some(1), "{body}");
    assert!(body["condition"].is_string() && body["observed_at"].is_string());

    let hit = api.get("/weather/?city=PARIS").await;
    assert_eq!(hit.headers["x-cache"], "hit");
    let mut again = hit.json();
    assert_eq!(again["cache"], "hit");
    again["cache"] = "miss".into();
    assert_eq!(again, body);
    assert_eq!(api.forecasts().await, 1);

    let cache = api.get("/cache").await.json();
    assert_eq!(
        cache,
        json!({"backend": "embedded", "ttl_seconds": 900, "entries": 1, "hits": 1, "misses": 1, "hit_ratio": 0.5})
    );
}

#[tokio::test]
async fn a_known_tag_is_answered_with_304_and_no_body() {
    let api = Api::start().await;
    let first = api.get("/weather?city=Oslo").await;
    let tag = first.headers["etag"].to_str().expect("text");
    assert!(first.headers["cache-control"].to_str().expect("text").starts_with("max-age="));
    assert!(first.headers.contains_key("age"));
    let asked = api.http.request(Method::GET, "/weather?city=oslo").header("if-none-match", tag);
    let second = send(asked).await.expect("an answer");
    assert_eq!(second.status, 304);
    assert_eq!((second.body.as_str(), &second.headers["etag"]), ("", &first.headers["etag"]));
}

#[tokio::test]
async fn a_thousand_who_ask_at_once_cause_one_upstream_request() {
    let api = Api::start().await;
    api.fault(&json!({"endpoint": "/v1/forecast", "kind": "slow", "delay_ms": 400, "count": 1}))
        .await;
    let replies = join_all((0..1_000).map(|n| {
        // Two spellings: the city is what counts.
        let city = if n % 2 == 0 { "Berlin" } else { "BERLIN&country=DE" };
        let http = api.http.clone();
        async move { http.get(&format!("/weather?city={city}")).await }
    }))
    .await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{:?}", replies[0]);
    assert_eq!(api.forecasts().await, 1);
}

#[tokio::test]
async fn a_restart_finds_the_snapshot_in_the_cache_or_the_store() {
    let mut api = Api::start().await;
    api.get("/weather?city=Lima").await;
    api.stop().await;
    let dir = std::mem::replace(&mut api.dir, tempfile::tempdir().expect("temporary folder"));
    drop(api);

    std::fs::remove_file(dir.path().join("broker.db")).expect("forget the cache");
    let api = Api::within(dir, &[]).await;
    let reply = api.get("/weather?city=lima").await;
    assert_eq!(reply.json()["cache"], "hit");
    assert_eq!(api.forecasts().await, 0);
}

#[tokio::test]
async fn when_the_upstream_fails_the_last_snapshot_is_served_and_says_so() {
    let api = Api::with(&[("ISOBAR_FRESH_FOR", "0")]).await;
    let fresh = api.get("/weather?city=Madrid").await.json();
    api.fault(&json!({"endpoint": "/v1/forecast", "status": 503, "count": 100})).await;

    // Another name of the same city, so that no cache has it.
    let stale = api.get("/weather?city=Madrid&country=ES").await;
    assert_eq!(stale.status, 200, "{}", stale.body);
    assert_eq!(
        (&stale.json()["cache"], &stale.headers["x-cache"]),
        (&json!("stale"), &"stale".parse().expect("value"))
    );
    assert!(stale.headers.contains_key("age"));
    assert_eq!(stale.headers["cache-control"], "no-cache");
    assert_eq!(stale.json()["temperature"], fresh["temperature"]);
}

#[tokio::test]
async fn an_upstream_that_fails_is_502_and_one_that_says_wait_is_503_with_a_time() {
    let api = Api::start().await;
    api.fault(&json!({"endpoint": "/v1/forecast", "status": 500, "count": 100})).await;
    let reply = api.get("/weather?city=Rome").await;
    is_problem(&reply, 502, "upstream_error");
    assert!(!reply.body.contains("127.0.0.1"), "{}", reply.body);

    api.sim.delete("/_sim/faults").await;
    api.fault(&json!({
        "endpoint": "/v1/forecast", "status": 429, "count": 100,
        "body": "{\"error\":true,\"reason\":\"Hourly API request limit exceeded. Please try again in the next hour.\"}",
    }))
    .await;
    let reply = api.get("/weather?city=Vienna").await;
    is_problem(&reply, 503, "upstream_unavailable");
    let pause: u64 = reply.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=3_700).contains(&pause), "{pause}");

    api.sim.delete("/_sim/faults").await;
}

#[tokio::test]
async fn a_name_that_the_list_lacks_is_geocoded_once_and_one_that_nobody_knows_is_404() {
    let api = Api::start().await;
    let unknown = api.get("/weather?city=Qwertzuiopstadt").await;
    is_problem(&unknown, 404, "city_not_found");
    api.get("/weather?city=qwertzuiopstadt").await;
    let stats = api.sim.get("/_sim/stats").await.json();
    assert_eq!(stats["endpoints"]["/v1/search"]["requests"], 1, "{stats}");
    assert_eq!(api.get("/history").await.json()["items"], json!([]));
}

#[tokio::test]
async fn every_success_is_a_search_newest_first_and_can_be_cleared() {
    let mut api = Api::start().await;
    for city in ["Tokyo", "Cairo", "tokyo"] {
        assert_eq!(api.get(&format!("/weather?city={city}")).await.status, 200);
    }
    let history = api.get("/history").await.json();
    let cities: Vec<_> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["city"].as_str().expect("a name"))
        .collect();
    assert_eq!(cities, ["Tokyo", "Cairo", "Tokyo"]);
    assert_eq!(history["next_cursor"], json!(null));

    let page = api.get("/history?limit=2").await.json();
    let next = page["next_cursor"].as_str().expect("a third one");
    api.get("/weather?city=Cairo").await;
    let rest = api.get(&format!("/history/?limit=2&cursor={next}")).await.json();
    assert_eq!(rest["items"].as_array().expect("items").len(), 1);
    assert_eq!(rest["items"][0]["id"], history["items"][2]["id"]);

    assert_eq!(api.http.delete("/history").await.status, 204);
    assert_eq!(api.get("/history").await.json()["items"], json!([]));

    // The last searches are written when the server ends.
    api.get("/weather?city=Cairo").await;
    api.stop().await;
    let written = api.store.searches(None, 10).await.expect("searches");
    assert_eq!(written.len(), 1);
}

#[tokio::test]
async fn without_a_broker_the_weather_is_still_told() {
    let api = Api::with(&[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    until(PATIENCE, "the weather comes", async || {
        api.get("/weather?city=Paris").await.status == 200
    })
    .await;
    assert_eq!(api.get("/healthz").await.status, 503);
    is_problem(&api.get("/readyz").await, 503, "not_ready");
}

#[tokio::test]
async fn a_connection_that_fails_costs_no_quota() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let api =
        Api::with(&[("ISOBAR_QUOTA", "600/m,5000/h"), ("ISOBAR_OPEN_METEO_URL", &dead)]).await;
    is_problem(&api.get("/weather?city=Paris").await, 502, "upstream_error");
    let quota = api.get("/stream").await.json()["quota"].clone();
    assert_eq!((&quota["minute"], &quota["hour"]), (&json!(0), &json!(0)), "{quota}");
}

#[tokio::test]
async fn an_answer_that_arrived_costs_quota_and_shows_no_key() {
    let settings = [
        ("ISOBAR_QUOTA", "600/m"),
        ("ISOBAR_WEATHER_PROVIDER", "openweather"),
        ("ISOBAR_OPENWEATHER_API_KEY", "s3cret-key"),
    ];
    let api = Api::with(&settings).await;
    let words =
        r#"{"cod":"500","message":"GET /data/2.5/weather?appid=s3cret-key: s3cret-key is slow"}"#;
    api.fault(&json!({"endpoint": "/data/2.5/weather", "status": 500, "count": 2, "body": words}))
        .await;
    let reply = api.get("/weather?city=Paris").await;
    assert_eq!(reply.status, 502, "{}", reply.body);
    assert!(!reply.body.contains("s3cret"), "{}", reply.body);
    let quota = api.get("/stream").await.json()["quota"].clone();
    assert_eq!(quota["minute"], 2, "{quota}");
}
