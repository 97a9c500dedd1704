//! `GET /weather` of a cached city, beside a handler that does nothing.
//!
//! The bare handler answers with as many bytes through axum, over the same connection handling and
//! the same allocator, in this process, which does nothing else meanwhile. The difference is what
//! Isobar does with a request: limits, access, cache, headers, a record of the search, counters and
//! a line in the log. Everything shares the machine's cores with `wrk`.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fixtures::{Ground, folder};
use crate::harness::http::{Http, Reply};
use crate::harness::isobar::{Isobar, Running};
use crate::harness::redis::Redis;
use crate::harness::wait::{PATIENCE, until};
use crate::table::{Row, Target};
use crate::wrk;

const PATH: &str = "/weather?city=Paris";
/// Of the bare handler's requests.
const SHARE: f64 = 0.5;
/// Of the bare handler's time for 99 of 100 requests.
const TIMES: f64 = 5.0;
/// As `api/src/http/limits.rs` and `api/src/http/connection.rs` have it.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
const MAX_HEAD_BYTES: usize = 32 * 1024;

pub async fn weather(ground: &Ground) -> Vec<Row> {
    if !wrk::is_there().await {
        let why = "wrk is not installed (apt-get install wrk)";
        return vec![Row::absent("GET /weather, cached", "requests/s", why)];
    }
    let redis = Redis::start().await;
    let dir = folder();
    let database = ground.postgres.fresh_database().await.url;
    let command = ground.isobar(dir.path(), ["serve"]).env("REDIS_URL", redis.url());
    let (_api, base) = serve(command.env("DATABASE_URL", database)).await;
    let http = Http::new(&base);
    let answer = http.get(PATH).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_bare, bare_base) = bare(as_long_as(&answer)).await;

    let mut runs = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..ground.scale.runs {
        for (base, [rates, times]) in [&bare_base, &base].into_iter().zip(&mut runs) {
            let load = wrk::load(&format!("{base}{PATH}"), ground.scale.load_seconds).await;
            rates.push(load.per_second);
            times.push(load.p99_ms);
        }
    }
    let dropped = dropped(&http.get("/metrics").await.body);
    let [[bare_rates, bare_times], [rates, times]] = runs;
    let bare_rate = Row::new("bare axum handler", "requests/s", bare_rates);
    let bare_time = Row::new("bare axum handler, 99 % within", "ms", bare_times);
    let mut rate = Row::new("GET /weather, cached", "requests/s", rates)
        .share_of(&bare_rate, Some(Target::AtLeast(SHARE)));
    if dropped > 0.0 {
        rate = rate.note(format!("{dropped} searches were not recorded"));
    }
    let time = Row::new("GET /weather, cached, 99 % within", "ms", times)
        .share_of(&bare_time, Some(Target::AtMost(TIMES)));
    vec![bare_rate, rate, bare_time, time]
}

/// Searches that the history had no room for: an API that leaves them out is faster.
fn dropped(metrics: &str) -> f64 {
    let count = metrics.lines().find_map(|line| line.strip_prefix("isobar_history_dropped_total "));
    count.and_then(|count| count.parse().ok()).expect("the counter is there from the start")
}

/// The API as a process, once it answers, and its base address.
pub async fn serve(command: Isobar) -> (Running, String) {
    let api = command.env("ISOBAR_LISTEN", "127.0.0.1:0").spawn();
    let said = api.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let base = said.trim_start_matches("listening on ").to_owned();
    let http = Http::new(&base);
    until(PATIENCE, "the API is ready", async || {
        http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
    })
    .await;
    (api, base)
}

/// The answer's body, and blanks for the headers that a bare handler does not send.
fn as_long_as(answer: &Reply) -> Bytes {
    let lacking: usize = answer
        .headers
        .iter()
        .filter(|(name, _)| ![CONTENT_TYPE, CONTENT_LENGTH, DATE].contains(name))
        .map(|(name, value)| format!("{name}: \r\n").len() + value.len())
        .sum();
    format!("{}{:lacking$}", answer.body, "").into()
}

/// A server whose every answer is `body`; it ends with the set.
async fn bare(body: Bytes) -> (JoinSet<()>, String) {
    let answer = async move || ([(CONTENT_TYPE, "application/json")], body.clone());
    let router = Router::new().route("/weather", get(answer));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let service = TowerToHyperService::new(router.clone());
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(serving);
        }
    });
    (server, base)
}
