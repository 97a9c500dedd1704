//! Tests over HTTP: behaviour of the simulator that is only visible on a connection.
//!
//! Each test starts [`serve`] on a free port. It sends plain HTTP/1.1 over a raw connection, so
//! truncated, hanging and reset answers stay visible.
//! Does not: test the content of bodies; the tests beside the providers do.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Clock, Options, Quota, serve};

/// One simulator for one test. [`stop`](Running::stop) checks that it ends in order.
struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinSet<anyhow::Result<()>>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

impl Running {
    async fn start(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut served = JoinSet::new();
        served.spawn(serve(listener, options, shutdown.clone()));
        Self { address, shutdown, served }
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        self.served.join_next().await.unwrap().unwrap().unwrap();
    }

    async fn send(&self, method: &str, target: &str, body: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "").await.unwrap()
    }

    async fn until_in_flight(&self, requests: u64) {
        while self.get("/_sim/stats").await.json()["in_flight"] != requests {
            tokio::task::yield_now().await;
        }
    }

    /// A connection whose request is never answered.
    async fn hanging_request(&self) -> TcpStream {
        self.fault(json!({"kind": "hang", "count": 1})).await;
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {PARIS} HTTP/1.1\r\nhost: sim\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        self.until_in_flight(1).await;
        stream
    }

    async fn fault(&self, fault: Value) {
        let answer = self.send("POST", "/_sim/faults", &fault.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

// 2026-03-10T12:34:56Z
fn fixed() -> Clock {
    Clock::fixed(DateTime::from_timestamp(1_773_146_096, 0).unwrap())
}

const AIR: &str = "/v1/air-quality?latitude=48.85341&longitude=2.3488&current=pm10,pm2_5,\
    carbon_monoxide,nitrogen_dioxide,ozone,european_aqi,us_aqi";
const PARIS: &str = "/v1/forecast?latitude=48.85341&longitude=2.3488&current_weather=true";

#[tokio::test]
async fn expected_weather_is_the_served_weather() {
    let clock = fixed();
    let options = Options { now: clock.clone(), seed: 3, ..Options::default() };
    let sim = Running::start(options).await;
    for index in [0, 7, 33_000, 40_000] {
        clock.advance(Duration::from_hours(1));
        let city = crate::cities::nth(index);
        let expected = sim.get(&format!("/_sim/expected?city_id={}", city.id)).await.json();
        let served = sim
            .get(&format!(
                "/v1/forecast?latitude={}&longitude={}&current_weather=true",
                city.latitude, city.longitude
            ))
            .await
            .json();
        for key in ["temperature", "windspeed", "winddirection", "weathercode", "time"] {
            assert_eq!(served["current_weather"][key], expected[key], "{key} of {city:?}");
        }
    }
    assert_eq!(sim.get("/_sim/expected?city_id=1").await.status, 404);
    sim.stop().await;
}

#[tokio::test]
async fn expected_air_quality_is_the_served_air_quality() {
    let sim = Running::start(Options { now: fixed(), seed: 3, ..Options::default() }).await;
    let mut expected = sim.get("/_sim/expected?city_id=2988507").await.json();
    let served = sim.get(AIR).await.json();
    let mut current = expected["air_quality"].take();
    assert_eq!(current["observed_at"], "2026-03-10T12:00");
    let fields = current.as_object_mut().unwrap();
    let observed_at = fields.remove("observed_at").unwrap();
    fields.extend([("time".to_owned(), observed_at), ("interval".to_owned(), 3600.into())]);
    assert_eq!(served["current"], current);
    assert_eq!(served["current_units"]["ozone"], "μg/m³");
    assert_eq!(served["current_units"]["european_aqi"], "EAQI");
    assert_eq!(served["current_units"]["us_aqi"], "USAQI");
    sim.stop().await;
}

#[tokio::test]
async fn air_quality_has_the_errors_of_the_forecast() {
    let sim = Running::start(Options::default()).await;
    let two = AIR.replace("48.85341", "1,2").replace("2.3488", "3,4");
    assert_eq!(sim.get(&two).await.json()[1]["location_id"], 1);
    let invalid = sim.get(&AIR.replace("48.8", "98.8")).await;
    assert_eq!(
        invalid.json()["reason"],
        "Latitude must be in range of -90 to 90°. Given: 98.85341."
    );
    let unknown = sim.get(&format!("{AIR},temperature_2m")).await.json();
    assert!(unknown["reason"].as_str().unwrap().contains("String value temperature_2m"));
    sim.fault(json!({"endpoint": "/v1/air-quality", "status": 503, "count": 1})).await;
    sim.fault(json!({"endpoint": "/v1/air-quality", "kind": "null", "count": 1})).await;
    assert_eq!(sim.get(PARIS).await.status, 200);
    assert_eq!(sim.get(AIR).await.json()["reason"], "The service is overloaded");
    assert!(sim.get(AIR).await.json()["current"]["pm10"].is_null());
    let stats = sim.get("/_sim/stats").await.json();
    assert_eq!(
        stats["endpoints"]["/v1/air-quality"],
        json!({"requests": 5, "locations": 3, "faults": 2})
    );
    sim.stop().await;
}

#[tokio::test]
async fn get_and_post_give_the_same_answer() {
    let sim = Running::start(Options { now: fixed(), ..Options::default() }).await;
    let form = "latitude=1,2,3&longitude=4,5,6&current=temperature_2m,weather_code";
    let got = sim.get(&format!("/v1/forecast?{form}")).await;
    let posted = sim.send("POST", "/v1/forecast/", &form.replace(',', "%2C")).await.unwrap();
    assert_eq!(got.body, posted.body);
    assert!(got.head.contains("content-type: application/json; charset=utf-8"), "{}", got.head);
    assert_eq!(got.json().as_array().unwrap().len(), 3);
    assert_eq!(sim.get("/cities/?page=0&limit=2").await.json()["cities"][1]["name"], "Beijing");
    assert_eq!(sim.get("/v1/nothing").await.status, 404);

    let stats = sim.get("/_sim/stats").await.json();
    assert_eq!(
        stats["endpoints"]["/v1/forecast"],
        json!({"requests": 2, "locations": 6, "faults": 0})
    );
    assert_eq!(stats["endpoints"]["/cities/"]["locations"], 2);
    assert_eq!((&stats["requests"], &stats["max_in_flight"]), (&3.into(), &1.into()));
    sim.stop().await;
}

#[tokio::test]
async fn errors_are_those_of_the_service() {
    let sim = Running::start(Options::default()).await;
    let invalid = sim.get("/v1/forecast?latitude=1,91&longitude=2,3&current_weather=true").await;
    assert_eq!(invalid.status, 400);
    assert_eq!(
        invalid.json(),
        json!({"error": true, "reason": "Latitude must be in range of -90 to 90°. Given: 91.0."})
    );
    let nothing = sim.get("/v1/forecast?current_weather=true").await;
    assert_eq!((nothing.status, nothing.body.as_str()), (200, ""));
    assert_eq!(sim.get("/data/2.5/weather?lat=1&lon=2").await.status, 401);
    assert_eq!(sim.get("/data/2.5/weather?lat=1&lon=2&appid=k").await.json()["cod"], 200);
    let large = "x".repeat(129 * 1024);
    // The answer can come before the whole form is sent; then the connection ends early.
    let refused = sim.send("POST", "/v1/forecast", &large).await;
    assert!(refused.is_err() || refused.unwrap().status == 413);
    sim.stop().await;
}

#[tokio::test]
async fn status_faults_use_the_upstream_or_own_body() {
    let sim = Running::start(Options::default()).await;
    sim.fault(json!({"endpoint": "/v1/forecast", "status": 503, "count": 1})).await;
    sim.fault(json!({"endpoint": "/v1/forecast", "status": 429, "count": 1,
        "body": {"error": true, "reason": "own"}, "headers": {"Retry-After": "0"}}))
        .await;
    sim.fault(json!({"endpoint": "/v1/forecast", "kind": "html", "count": 1})).await;

    let overloaded = sim.get(PARIS).await;
    assert_eq!(overloaded.status, 503);
    assert_eq!(overloaded.json()["reason"], "The service is overloaded");
    let own = sim.get(PARIS).await;
    assert_eq!((own.status, &own.json()["reason"]), (429, &"own".into()));
    assert!(own.head.contains("retry-after: 0"), "{}", own.head);
    let html = sim.get(PARIS).await;
    assert!(html.status == 200 && html.body.starts_with("<!DOCTYPE html>"), "{html:?}");
    assert!(html.head.contains("text/html"), "{}", html.head);

    assert_eq!(sim.get(PARIS).await.status, 200);
    let stats = sim.get("/_sim/stats").await.json();
    assert_eq!(
        stats["endpoints"]["/v1/forecast"],
        json!({"requests": 4, "locations": 1, "faults": 3})
    );
    assert_eq!(sim.send("POST", "/_sim/faults", "{\"endpoint\":3}").await.unwrap().status, 400);
    sim.stop().await;
}

#[tokio::test]
async fn match_limits_a_fault_to_one_latitude() {
    let sim = Running::start(Options::default()).await;
    sim.fault(json!({"status": 400, "match": "48.85341"})).await;
    assert_eq!(sim.get(PARIS).await.status, 400);
    assert_eq!(sim.get(&PARIS.replace("48.8", "47.8")).await.status, 200);
    assert_eq!(sim.send("DELETE", "/_sim/faults", "").await.unwrap().status, 200);
    assert_eq!(sim.get(PARIS).await.status, 200);
    sim.stop().await;
}

#[tokio::test]
async fn body_faults_damage_the_body() {
    let sim = Running::start(Options::default()).await;
    let whole = sim.get(PARIS).await.body;
    for kind in ["truncate", "streamed_error", "null", "slow"] {
        sim.fault(json!({"kind": kind, "count": 1, "delay_ms": 1})).await;
    }
    let cut = sim.get(PARIS).await;
    assert!(cut.head.contains(&format!("content-length: {}", whole.len())), "{}", cut.head);
    assert_eq!(cut.body.len(), whole[..whole.len() / 2].len());
    let streamed = sim.get(PARIS).await;
    assert!(streamed.body.contains("Unexpected error while streaming data"), "{streamed:?}");
    assert!(streamed.head.contains(&format!("content-length: {}", streamed.body.len())));
    assert!(sim.get(PARIS).await.json()["current_weather"]["temperature"].is_null());
    assert_eq!(sim.get(PARIS).await.body.len(), whole.len());
    sim.stop().await;
}

#[tokio::test]
async fn reset_faults_reset_the_connection() {
    let sim = Running::start(Options::default()).await;
    sim.fault(json!({"kind": "reset", "count": 1})).await;
    let error = sim.send("GET", PARIS, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sim.get(PARIS).await.status, 200);
    sim.stop().await;
}

#[tokio::test]
async fn long_urls_are_reset() {
    let sim = Running::start(Options::default()).await;
    let target = format!("{PARIS}&models={}", "x".repeat(64_500));
    let error = sim.send("GET", &target, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    sim.stop().await;
}

#[tokio::test]
async fn hanging_requests_end_with_the_simulator() {
    let sim = Running::start(Options::default()).await;
    let mut hanging = sim.hanging_request().await;
    sim.stop().await;
    assert_eq!(hanging.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn disconnected_clients_are_not_in_flight() {
    let sim = Running::start(Options::default()).await;
    drop(sim.hanging_request().await);
    sim.until_in_flight(0).await;
    sim.stop().await;
}

#[tokio::test]
async fn the_free_tier_resets_every_minute() {
    let clock = fixed();
    let options = Options { quota: Quota::OpenMeteo, now: clock.clone(), ..Options::default() };
    let sim = Running::start(options).await;
    let many = vec!["1"; 600].join(",");
    let big = format!("latitude={many}&longitude={many}");
    // Each endpoint has its own limit.
    for (path, small) in [("/v1/forecast", PARIS), ("/v1/air-quality", AIR)] {
        assert_eq!(sim.send("POST", path, &big).await.unwrap().status, 200);
        let refused = sim.get(small).await;
        assert_eq!(refused.status, 429);
        assert_eq!(
            refused.json()["reason"],
            "Minutely API request limit exceeded. Please try again in one minute."
        );
    }
    assert_eq!(sim.get("/v1/search?name=Paris").await.status, 200);
    clock.advance(Duration::from_secs(4));
    assert_eq!(sim.get(PARIS).await.status, 200);
    sim.stop().await;
}

#[tokio::test]
async fn connections_are_kept_alive_until_shutdown() {
    let sim = Running::start(Options::default()).await;
    let mut stream = TcpStream::connect(sim.address).await.unwrap();
    let request = "GET /cities/?limit=1 HTTP/1.1\r\nhost: sim\r\n\r\n";
    stream.write_all(request.repeat(2).as_bytes()).await.unwrap();
    let mut read = String::new();
    while read.matches("total_count").count() < 2 {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "closed after {read}");
        read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    sim.stop().await;
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn both_user_services_answer_under_users() {
    let sim = Running::start(Options::default()).await;
    assert!(sim.get("/users").await.json().is_array());
    assert_eq!(sim.get("/users?limit=5&skip=2").await.json()["users"][0]["id"], 3);
    assert_eq!(sim.get("/dummyjson/users").await.json()["total"], 208);
    assert_eq!(sim.get("/jsonplaceholder/users?limit=5").await.json()[9]["id"], 10);
    assert_eq!(sim.get("/users/1/").await.json()["username"], "Bret");
    assert_eq!(sim.get("/dummyjson/users/999").await.status, 404);
    assert_eq!(sim.get("/dummyjson/users/1/carts").await.status, 404);
    sim.stop().await;
}

#[tokio::test]
async fn dummyjson_limits_requests_per_ten_seconds() {
    let clock = fixed();
    let sim = Running::start(Options { now: clock.clone(), ..Options::default() }).await;
    for _ in 0..100 {
        assert_eq!(sim.get("/dummyjson/users?limit=1").await.status, 200);
    }
    let refused = sim.get("/dummyjson/users?limit=1").await;
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 10"), "{}", refused.head);
    assert!(refused.head.contains("x-ratelimit-remaining: 0"), "{}", refused.head);
    assert_eq!(sim.get("/jsonplaceholder/users").await.status, 200);
    clock.advance(Duration::from_secs(10));
    assert_eq!(sim.get("/dummyjson/users?limit=1").await.status, 200);
    sim.stop().await;
}

#[tokio::test]
async fn both_versions_of_random_data_can_be_short() {
    let sim = Running::start(Options::default()).await;
    for path in ["/api/v2/addresses", "/api/address/random_address"] {
        assert!(sim.get(path).await.json()["postcode"].is_string(), "{path}");
        assert_eq!(sim.get(&format!("{path}?size=20")).await.json().as_array().unwrap().len(), 20);
    }
    for path in ["/api/v2/credit_cards", "/api/business_credit_card/random_card"] {
        assert!(sim.get(path).await.json()["credit_card_number"].is_string(), "{path}");
        sim.fault(json!({"endpoint": path, "kind": "short", "rows": 3, "count": 1})).await;
        let short = sim.get(&format!("{path}?size=20")).await.json();
        assert_eq!(short.as_array().unwrap().len(), 17, "{path}");
        sim.fault(json!({"endpoint": path, "status": 500, "count": 1})).await;
        assert_eq!(sim.get(path).await.json()["status"], 500);
    }
    let stats = sim.get("/_sim/stats").await.json();
    assert_eq!(
        stats["endpoints"]["/api/v2/credit_cards"],
        json!({"requests": 3, "locations": 18, "faults": 2})
    );
    sim.stop().await;
}
