//! What a client can have too much of: time, bytes, requests, connections (I8).
//!
//! The server is given limits that a test can reach; that those of `isobar serve` are sensible is
//! for people to judge.

use std::time::Duration;

use isobar_api::ServerLimits;
use isobar_store::{Commit, Records};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::lists::snapshot;
use super::{Api, is_problem};
use crate::harness::http::{Http, send};
use crate::harness::wait::{PATIENCE, until};

async fn with(settings: &[(&str, &str)], limits: ServerLimits) -> Api {
    let dir = tempfile::tempdir().expect("temporary folder");
    Api::limited(dir, settings, limits).await
}

/// A connection of our own, whose client takes next to nothing into its buffer.
async fn raw(api: &Api) -> TcpStream {
    let address = api.base.trim_start_matches("http://").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(address).await.expect("connects")
}

#[tokio::test]
async fn readers_that_never_read_do_not_hold_the_streamed_lists() {
    let limits =
        ServerLimits { progress: Duration::from_secs(4), streams: 2, ..ServerLimits::default() };
    let api = with(&[], limits).await;
    // More than the kernel keeps for a connection.
    for tens in 0..5 {
        let cities = (tens * 5_000..(tens + 1) * 5_000).map(snapshot).collect();
        let commit = Commit { records: Records::Weather(cities), ..Commit::default() };
        api.store.commit(&commit).await.expect("commit");
    }
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut connection = raw(&api).await;
        let asked = b"GET /api/weather/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
        connection.write_all(asked).await.expect("asks");
        let mut start = [0; 12];
        connection.read_exact(&mut start).await.expect("the answer begins");
        assert_eq!(&start, b"HTTP/1.1 200");
        idle.push(connection);
    }
    let crowded = api.get("/api/weather/").await;
    is_problem(&crowded, 503, "overloaded");
    assert!(crowded.headers.contains_key("retry-after"));
    assert_eq!(api.get("/api/weather/?limit=1").await.status, 200, "pages need no stream");
    until(PATIENCE, "the idle readers are cut off", async || {
        let all = api.get("/api/weather/").await;
        all.status == 200 && all.json().as_array().is_some_and(|all| all.len() == 25_000)
    })
    .await;
    for mut connection in idle {
        let mut rest = Vec::new();
        // A reset is as good an end as any; the array must not look finished.
        let _ = connection.read_to_end(&mut rest).await;
        assert!(!rest.ends_with(b"]\r\n0\r\n\r\n"));
    }
}

#[tokio::test]
async fn connections_that_never_finish_their_head_make_room_for_others() {
    let limits = ServerLimits {
        connections: 3,
        head: Duration::from_millis(500),
        ..ServerLimits::default()
    };
    let api = with(&[], limits).await;
    let mut slow = JoinSet::new();
    for _ in 0..3 {
        let mut connection = raw(&api).await;
        slow.spawn(async move {
            let mut head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
            while connection.write_all(&head).await.is_ok() {
                head = b"y".to_vec();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    assert_eq!(Http::new(&api.base).get("/livez").await.status, 200);
    while let Some(ended) = slow.join_next().await {
        ended.expect("it was cut off");
    }
}

#[tokio::test]
async fn a_full_server_says_so_at_once_and_still_answers_probes() {
    let api = with(&[], ServerLimits { requests: 1, ..ServerLimits::default() }).await;
    api.fault(&json!({"endpoint": "/v1/forecast", "kind": "slow", "delay_ms": 3_000, "count": 1}))
        .await;
    let http = api.http.clone();
    let mut in_flight = JoinSet::new();
    in_flight.spawn(async move { http.get("/weather?city=Paris").await });
    until(PATIENCE, "the upstream has the request", async || api.forecasts().await == 1).await;

    let refused = api.get("/cache").await;
    is_problem(&refused, 503, "overloaded");
    assert_eq!(refused.headers["retry-after"], "1");
    for probe in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(api.get(probe).await.status, 200, "{probe}");
    }
    assert_eq!(in_flight.join_next().await.expect("one").expect("no panic").status, 200);
    assert_eq!(api.get("/cache").await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back_and_probes_never_are() {
    let api = with(&[("ISOBAR_RATE_LIMIT", "5/h")], ServerLimits::default()).await;
    for _ in 0..5 {
        assert_eq!(api.get("/cache").await.status, 200);
    }
    for path in ["/cache", "/nowhere", "/weather?city=Paris", "/"] {
        let refused = api.get(path).await;
        is_problem(&refused, 429, "rate_limited");
        let pause: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("n");
        assert!((1..=720).contains(&pause), "{pause}");
    }
    for probe in ["/livez", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(api.get(probe).await.status, 200, "{probe}");
    }
    assert_eq!(api.forecasts().await, 0);
}

#[tokio::test]
async fn a_head_or_a_body_that_is_too_large_is_refused() {
    let api = Api::start().await;
    let head = api.http.request(Method::GET, "/cache").header("x-large", "x".repeat(80 * 1024));
    assert_eq!(send(head).await.expect("an answer").status, 431);
    let body = api.http.request(Method::POST, "/login").body("x".repeat(70 * 1024));
    is_problem(&send(body).await.expect("an answer"), 413, "payload_too_large");
    let path = json!({"path": "x".repeat(20 * 1024)});
    is_problem(&api.http.post("/bulk/import", &path).await, 413, "payload_too_large");
    assert_eq!(api.get("/livez").await.status, 200);
}
