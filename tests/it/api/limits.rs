//! What a client can have too much of: time, bytes, requests, connections (I8).
//!
//! The server is given limits that a test can reach; that those of `isobar serve` are sensible is
//! for people to judge.

use std::net::IpAddr;
use std::time::Duration;

use isobar_api::ServerLimits;
use isobar_store::{Commit, Records};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lists::snapshot;
use super::{Api, is_problem};
use crate::harness::http::{Http, send};
use crate::harness::isobar::Isobar;
use crate::harness::wait::{PATIENCE, until};

async fn with(settings: &[(&str, &str)], limits: ServerLimits) -> Api {
    let dir = tempfile::tempdir().expect("temporary folder");
    Api::limited(dir, settings, limits).await
}

/// A connection of our own, whose client takes next to nothing into its buffer.
async fn raw(api: &Api) -> TcpStream {
    raw_from(api, "127.0.0.1").await
}

/// The same from another address of this host.
async fn raw_from(api: &Api, from: &str) -> TcpStream {
    let address = api.base.trim_start_matches("http://").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from.parse::<IpAddr>().expect("an address"), 0).into()).expect("binds");
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
    until(PATIENCE, "there is room for others", async || {
        Http::new(&api.base).get("/cache").await.status == 200
    })
    .await;
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

#[tokio::test]
async fn silent_connections_do_not_shut_out_probes() {
    let api = with(&[], ServerLimits { connections: 4, ..ServerLimits::default() }).await;
    let mut silent = Vec::new();
    let opened = timeout(Duration::from_secs(5), async {
        for _ in 0..400 {
            silent.push(raw(&api).await);
        }
    });
    opened.await.expect("every connection is taken");
    for probe in ["/livez", "/readyz", "/metrics"] {
        let answer = timeout(Duration::from_secs(5), Http::new(&api.base).get(probe)).await;
        assert_eq!(answer.expect("in time").status, 200, "{probe}");
    }
    let refused = Http::new(&api.base).get("/cache").await;
    is_problem(&refused, 503, "too_many_connections");
    assert!(refused.headers.contains_key("retry-after"));

    drop(silent);
    until(PATIENCE, "there is room again", async || {
        Http::new(&api.base).get("/cache").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn one_address_does_not_have_all_connections() {
    let limits =
        ServerLimits { connections: 8, connections_per_client: 4, ..ServerLimits::default() };
    let api = with(&[], limits).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(raw_from(&api, "127.0.0.2").await);
    }
    let ask = async |from: &str, path: &str| {
        let mut connection = raw_from(&api, from).await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).await.expect("asks");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let refused = ask("127.0.0.2", "/cache").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\"code\":\"too_many_connections\""), "{refused}");
    assert!(ask("127.0.0.2", "/livez").await.starts_with("HTTP/1.1 200 "));
    assert!(ask("127.0.0.1", "/cache").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn four_thousand_silent_connections_leave_the_probes_alone() {
    for (soft, hard) in [(1_024, 20_000), (1_024, 1_024)] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let up = Isobar::new(dir.path())
            .with_open_files(soft, hard)
            .args(["up", "--sim", "--listen", "127.0.0.1:0"])
            .spawn();
        let said =
            up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
        let base = said.trim_start_matches("listening on ");
        let address = base.trim_start_matches("http://");
        until(PATIENCE, "it is ready", async || Http::new(base).get("/readyz").await.status == 200)
            .await;
        let mut silent = Vec::new();
        for _ in 0..4_000 {
            let opened = timeout(Duration::from_secs(5), TcpStream::connect(address)).await;
            silent.push(opened.expect("every connection is taken").expect("connects"));
        }
        for probe in ["/livez", "/readyz", "/metrics"] {
            let answer = timeout(Duration::from_secs(5), Http::new(base).get(probe)).await;
            assert_eq!(answer.expect("in time").status, 200, "{probe}");
        }
    }
}
