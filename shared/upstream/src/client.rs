//! One request to an upstream host, from admission to answer.
//!
//! At most two tries, and only for what a second try can mend at once (connect, reset, 408, 5xx);
//! each has its own admission and timeout, so the worst attempt is known:
//! [`Settings::worst_attempt`].

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use metrics::{counter, histogram};
use rand::Rng;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response};

use super::classify::{Verdict, verdict};
use super::host::Host;
use super::{Answer, Priority, Waiting};
use isobar_broker::Broker;
use isobar_model::quota::QuotaLimits;
use isobar_settings::{GEOCODING_HOST, REQUEST_RETRY_PAUSE, REQUEST_TRIES, Settings};
use isobar_telemetry::metric::{Label, Metric};

/// A thousand locations with every variable we ask for are a tenth of this.
const BODY_BYTES: usize = 8 << 20;
/// Of a provider's reason, as much as a person reads.
const REASON_CHARS: usize = 300;
const CONNECT_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Windows reopen for everyone at once: arrive spread over this.
const REOPENING_JITTER_MS: i64 = 2_000;

pub const REQUESTS: Metric = Metric::counter(
    "isobar_upstream_requests_total",
    "Requests to weather services by what came of them; wait is one that was not sent.",
)
.by(&[Label::open("host"), Label::open("outcome")]);
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "isobar_upstream_request_seconds",
    "Time from a request to a weather service to the end of its answer.",
)
.by(&[Label::open("host")]);

/// Makes TLS work; once per process, more often does no harm.
pub fn install_tls() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
    broker: Broker,
    forecast: Host,
    geocoder: Host,
}

/// A client for these addresses.
pub fn http_client(settings: &Settings, urls: &[&url::Url]) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder();
    if urls.iter().all(|url| url.scheme() == "http") {
        // A machine without certificates needs none for this.
        builder = builder.tls_certs_only([]);
    }
    if urls.iter().all(|url| is_loopback(url)) {
        // What runs on this host is never behind a proxy.
        builder = builder.no_proxy();
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT.min(settings.request_timeout.0))
        .timeout(settings.request_timeout.0)
        .tcp_nodelay(true)
        .user_agent(concat!("isobar/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up the HTTP client")
}

/// What a host is called: with its port where that is not the usual one.
pub fn host_name(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// One try's end.
enum Try<T> {
    Over(Answer<T>),
    /// Worth another try at once.
    Again {
        code: &'static str,
        reason: String,
    },
}

impl Client {
    pub fn new(settings: Arc<Settings>, broker: Broker) -> anyhow::Result<Self> {
        install_tls();
        let http = http_client(&settings, &[settings.upstream_url(), &settings.geocoding_url.0])?;
        let name = host_name;
        let breaker = settings.upstream_breaker;
        let url = settings.upstream_url();
        let forecast =
            Host::new(name(url), settings.quota_limits(), settings.is_free_tier(), breaker);
        let url = &settings.geocoding_url.0;
        // Its own allowance, counted by its own host.
        let limits = match url.host_str() {
            Some(GEOCODING_HOST) => settings.quota_limits(),
            _ => QuotaLimits::default(),
        };
        let geocoder = Host::new(name(url), limits, false, breaker);
        Ok(Self { http, settings, broker, forecast, geocoder })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    pub fn forecast(&self) -> &Host {
        &self.forecast
    }

    pub fn geocoder(&self) -> &Host {
        &self.geocoder
    }

    /// Sends what `build` makes and reads the answer with `parse`, whose error says what is wrong
    /// with a success. `weight` is what the provider counts for it.
    pub async fn request<T>(
        &self,
        host: &Host,
        weight: u64,
        priority: Priority,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
        parse: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Answer<T> {
        let mut tries = 1;
        loop {
            let began = Instant::now();
            let end = self.attempt(host, weight, priority, build(&self.http), &parse).await;
            let outcome = match &end {
                Try::Over(answer) => outcome(answer),
                Try::Again { code, .. } => code,
            };
            if outcome != "wait" {
                histogram!(REQUEST_SECONDS.name, "host" => host.name.clone())
                    .record(began.elapsed());
            }
            counter!(REQUESTS.name, "host" => host.name.clone(), "outcome" => outcome).increment(1);
            match end {
                Try::Over(answer) => return answer,
                Try::Again { code, reason } if tries >= REQUEST_TRIES => {
                    tracing::warn!(
                        host = host.name,
                        tries,
                        error = reason,
                        "a request failed: {code}"
                    );
                    return Answer::Retry { code, reason };
                }
                Try::Again { .. } => {
                    tries += 1;
                    let share = rand::rng().random_range(0.0..1.0);
                    tokio::time::sleep(REQUEST_RETRY_PAUSE.mul_f64(share)).await;
                }
            }
        }
    }

    async fn attempt<T>(
        &self,
        host: &Host,
        weight: u64,
        priority: Priority,
        request: RequestBuilder,
        parse: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Try<T> {
        let broker = &self.broker;
        let timeout = self.settings.request_timeout.0;
        let admission = match host.enter(broker, weight, priority, timeout).await {
            Ok(admission) => admission,
            Err((until, why)) => return Try::Over(Answer::Wait { until, why }),
        };
        let received = match request.send().await {
            Ok(response) => receive(response).await,
            Err(error) => Err(error.into()),
        };
        let received = match received {
            Ok(received) => received,
            Err(trouble) => {
                // Unknown to us what it counted: an error counts one.
                host.leave(broker, admission, 1).await.failed();
                return trouble.into_try();
            }
        };
        let now = Utc::now();
        if received.status == 200 {
            match parse(&received.body) {
                Ok(value) => {
                    host.leave(broker, admission, weight).await.succeeded();
                    host.succeeded();
                    return Try::Over(Answer::Ok(value));
                }
                Err(Unreadable::Units(reason)) => {
                    host.leave(broker, admission, weight).await.succeeded();
                    host.misconfigured(&reason);
                    return Try::Over(Answer::Config { reason });
                }
                Err(Unreadable::Broken(what)) => {
                    // A used-up quota has been seen under a 200 too.
                    let reason = reason(&received.body);
                    let Verdict::Exhausted(until) = verdict(200, &reason, None, now) else {
                        host.leave(broker, admission, 1).await.failed();
                        tracing::warn!(host = host.name, error = what, "an answer cannot be read");
                        return Try::Over(Answer::Retry { code: "bad_response", reason: what });
                    };
                    drop(host.leave(broker, admission, 0).await);
                    return Try::Over(self.shut(host, until).await);
                }
            }
        }
        let status = received.status;
        let reason = reason(&received.body);
        let said = if reason.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status}: {reason}")
        };
        match verdict(status, &reason, received.retry_after.as_deref(), now) {
            Verdict::Retry => {
                host.leave(broker, admission, 1).await.failed();
                Try::Again { code: "upstream_error", reason: said }
            }
            Verdict::Exhausted(until) => {
                drop(host.leave(broker, admission, 0).await);
                tracing::warn!(host = host.name, status, error = reason, "the quota is used up");
                Try::Over(self.shut(host, until).await)
            }
            Verdict::Crowded(until) => {
                drop(host.leave(broker, admission, 0).await);
                Try::Over(Answer::Wait { until: jittered(until), why: Waiting::Concurrency })
            }
            Verdict::Location => {
                host.leave(broker, admission, 1).await.succeeded();
                Try::Over(Answer::Location { code: "location_rejected", reason: said })
            }
            Verdict::Split => {
                host.leave(broker, admission, 1).await.succeeded();
                Try::Over(Answer::Split { reason: said })
            }
            Verdict::Config => {
                drop(host.leave(broker, admission, 1).await);
                host.misconfigured(&said);
                tracing::error!(
                    host = host.name,
                    status,
                    error = reason,
                    "the upstream refuses how it is asked"
                );
                Try::Over(Answer::Config { reason: format!("{} answers {said}", host.name) })
            }
        }
    }

    async fn shut<T>(&self, host: &Host, until: DateTime<Utc>) -> Answer<T> {
        let until = jittered(until);
        host.exhausted(&self.broker, until).await;
        Answer::Wait { until, why: Waiting::Quota }
    }
}

/// Why a 200 is no success.
#[derive(Debug)]
pub enum Unreadable {
    /// It is not what was asked for: truncated, HTML, too short.
    Broken(String),
    /// It is in units that nobody asked for.
    Units(String),
}

impl Unreadable {
    pub fn json(error: &serde_json::Error) -> Self {
        Self::Broken(format!("the answer is no JSON that we know: {error}"))
    }
}

struct Received {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

enum Trouble {
    Network(reqwest::Error),
    TooLarge,
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(error.without_url())
    }
}

impl Trouble {
    fn into_try<T>(self) -> Try<T> {
        match self {
            Self::TooLarge => Try::Over(Answer::Retry {
                code: "bad_response",
                reason: format!("the answer is larger than {BODY_BYTES} bytes"),
            }),
            Self::Network(error) => {
                let reason = isobar_telemetry::chain(&error);
                if error.is_timeout() {
                    // It had its time; a second wait would only hold the slot.
                    Try::Over(Answer::Retry { code: "upstream_timeout", reason })
                } else if error.is_connect() {
                    Try::Again { code: "upstream_unreachable", reason }
                } else {
                    Try::Again { code: "upstream_reset", reason }
                }
            }
        }
    }
}

async fn receive(mut response: Response) -> Result<Received, Trouble> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body =
        Vec::with_capacity(response.content_length().unwrap_or(0).min(BODY_BYTES as u64) as usize);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_BYTES {
            return Err(Trouble::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status, retry_after, body })
}

/// The provider's own words: Open-Meteo's `reason`, OpenWeather's `message`.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(alias = "message")]
        reason: String,
    }
    let Ok(said) = serde_json::from_slice::<Said>(body) else { return String::new() };
    said.reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect()
}

fn jittered(until: DateTime<Utc>) -> DateTime<Utc> {
    until + TimeDelta::milliseconds(rand::rng().random_range(0..REOPENING_JITTER_MS))
}

fn outcome<T>(answer: &Answer<T>) -> &'static str {
    match answer {
        Answer::Ok(_) => "ok",
        Answer::Retry { code, .. } | Answer::Location { code, .. } => code,
        Answer::Split { .. } => "split",
        Answer::Wait { .. } => "wait",
        Answer::Config { .. } => "config",
    }
}
