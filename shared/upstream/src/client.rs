//! Client: one request to an upstream host, from admission to answer.
//!
//! Guarantees: at most two tries, and only for an error that may pass at once (connect, reset,
//! 408, 5xx). Each try has its own admission and timeout, so the longest attempt is known:
//! [`Settings::worst_attempt`].
//! Next: [`crate::host`] (admission), [`crate::classify`] (the outcome of a status).

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::Broker;
use isobar_settings::{REQUEST_RETRY_PAUSE, REQUEST_TRIES, Settings};
use isobar_telemetry::metric::{Label, Metric};
use metrics::{counter, histogram};
use rand::Rng;
use reqwest::RequestBuilder;

use crate::answer::{Answer, Priority, WaitReason};
use crate::classify::{ErrorClass, classify};
use crate::host::Host;
use crate::http::{BODY_BYTES, InvalidResponse, TransportError, http_client, receive};
use crate::secrets::hide;
use crate::weather_service::WeatherService;

/// Characters of a provider's reason that are kept.
const REASON_CHARS: usize = 300;
/// A quota window reopens for all workers at once: their requests are spread over this.
const REOPENING_JITTER_MS: i64 = 2_000;

pub const REQUESTS: Metric = Metric::counter(
    "isobar_upstream_requests_total",
    "Requests to weather services by outcome; wait is a request that was not sent.",
)
.with_labels(&[Label::dynamic("host"), Label::dynamic("outcome")]);
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "isobar_upstream_request_seconds",
    "Time from a request to a weather service to the end of its answer.",
)
.with_labels(&[Label::dynamic("host")]);

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
    broker: Broker,
    /// In the order of [`WeatherService::ALL`].
    hosts: [Host; WeatherService::ALL.len()],
}

/// The end of one try.
enum AttemptOutcome<T> {
    Over(Answer<T>),
    /// A second try at once may succeed.
    TryAgain {
        code: &'static str,
        reason: String,
    },
}

impl Client {
    pub fn new(settings: Arc<Settings>, broker: Broker) -> anyhow::Result<Self> {
        isobar_tls::install();
        let http =
            http_client(&settings, &WeatherService::ALL.map(|service| service.url(&settings)))?;
        let hosts = WeatherService::ALL.map(|service| service.host(&settings));
        Ok(Self { http, settings, broker, hosts })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    pub fn host(&self, service: WeatherService) -> &Host {
        &self.hosts[service as usize]
    }

    pub fn hosts(&self) -> impl Iterator<Item = (WeatherService, &Host)> {
        WeatherService::ALL.into_iter().zip(&self.hosts)
    }

    /// Sends the request of `build` and reads the answer with `parse`, whose error says why a
    /// success cannot be used. `weight` is what the provider counts for the request.
    pub async fn request<T>(
        &self,
        host: &Host,
        weight: u64,
        priority: Priority,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
        parse: impl Fn(&[u8]) -> Result<T, InvalidResponse>,
    ) -> Answer<T> {
        let mut tries = 1;
        loop {
            let began = Instant::now();
            let end = self.attempt(host, weight, priority, build(&self.http), &parse).await;
            let outcome = match &end {
                AttemptOutcome::Over(answer) => outcome(answer),
                AttemptOutcome::TryAgain { code, .. } => code,
            };
            if outcome != "wait" {
                histogram!(REQUEST_SECONDS.name, "host" => host.name.clone())
                    .record(began.elapsed());
            }
            counter!(REQUESTS.name, "host" => host.name.clone(), "outcome" => outcome).increment(1);
            match end {
                AttemptOutcome::Over(answer) => return answer,
                AttemptOutcome::TryAgain { code, reason } if tries >= REQUEST_TRIES => {
                    tracing::warn!(
                        host = host.name,
                        tries,
                        error = reason,
                        "a request failed: {code}"
                    );
                    return Answer::Retry { code, reason };
                }
                AttemptOutcome::TryAgain { .. } => {
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
        parse: impl Fn(&[u8]) -> Result<T, InvalidResponse>,
    ) -> AttemptOutcome<T> {
        let broker = &self.broker;
        let timeout = self.settings.request_timeout.0;
        let admission = match host.admit(broker, weight, priority, timeout).await {
            Ok(admission) => admission,
            Err((until, why)) => return AttemptOutcome::Over(Answer::Wait { until, why }),
        };
        let response = match request.send().await {
            Ok(response) => receive(response).await,
            Err(error) => Err(error.into()),
        };
        let response = match response {
            Ok(response) => response,
            Err(TransportError::Network(error)) if isobar_tls::refusal(&error).is_some() => {
                // No request reached the service.
                drop(host.finish(broker, admission, 0).await);
                let refused = isobar_tls::refusal(&error).unwrap_or_default();
                host.mark_misconfigured(&refused);
                tracing::error!(host = host.name, "{refused}");
                let reason = format!("{}: {refused}", host.name);
                return AttemptOutcome::Over(Answer::Misconfigured { reason });
            }
            Err(error) => {
                // What never reached the provider costs nothing. Else its count is unknown: an
                // error counts one.
                let used = u64::from(!error.never_arrived());
                host.finish(broker, admission, used).await.failed();
                return after_transport_error(error);
            }
        };
        let now = Utc::now();
        if response.status == 200 {
            match parse(&response.body) {
                Ok(value) => {
                    host.finish(broker, admission, weight).await.succeeded();
                    host.mark_healthy();
                    return AttemptOutcome::Over(Answer::Ok(value));
                }
                Err(InvalidResponse::Units(reason)) => {
                    let reason = hide(&reason, &self.settings);
                    host.finish(broker, admission, weight).await.succeeded();
                    host.mark_misconfigured(&reason);
                    return AttemptOutcome::Over(Answer::Misconfigured { reason });
                }
                Err(InvalidResponse::Broken(error)) => {
                    // Open-Meteo has reported an exhausted quota with status 200, too.
                    let error = hide(&error, &self.settings);
                    let reason = reason_of(&response.body);
                    let ErrorClass::Exhausted(until) = classify(200, &reason, None, now) else {
                        host.finish(broker, admission, 1).await.failed();
                        tracing::warn!(host = host.name, error, "an answer cannot be read");
                        let answer = Answer::Retry { code: "bad_response", reason: error };
                        return AttemptOutcome::Over(answer);
                    };
                    drop(host.finish(broker, admission, 0).await);
                    return AttemptOutcome::Over(self.close_quota(host, until).await);
                }
            }
        }
        let status = response.status;
        let reason = hide(&reason_of(&response.body), &self.settings);
        let error = if reason.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status}: {reason}")
        };
        match classify(status, &reason, response.retry_after.as_deref(), now) {
            ErrorClass::Retry => {
                host.finish(broker, admission, 1).await.failed();
                AttemptOutcome::TryAgain { code: "upstream_error", reason: error }
            }
            ErrorClass::Exhausted(until) => {
                drop(host.finish(broker, admission, 0).await);
                tracing::warn!(host = host.name, status, error = reason, "the quota is used up");
                AttemptOutcome::Over(self.close_quota(host, until).await)
            }
            ErrorClass::Crowded(until) => {
                drop(host.finish(broker, admission, 0).await);
                let until = with_jitter(until);
                AttemptOutcome::Over(Answer::Wait { until, why: WaitReason::Concurrency })
            }
            ErrorClass::BadLocation => {
                host.finish(broker, admission, 1).await.succeeded();
                AttemptOutcome::Over(Answer::BadLocation {
                    code: "location_rejected",
                    reason: error,
                })
            }
            ErrorClass::TooLarge => {
                host.finish(broker, admission, 1).await.succeeded();
                AttemptOutcome::Over(Answer::TooLarge { reason: error })
            }
            ErrorClass::Misconfigured => {
                drop(host.finish(broker, admission, 1).await);
                host.mark_misconfigured(&error);
                tracing::error!(
                    host = host.name,
                    status,
                    error = reason,
                    "the upstream rejects our requests; check key, plan and address"
                );
                let reason = format!("{} answers {error}", host.name);
                AttemptOutcome::Over(Answer::Misconfigured { reason })
            }
        }
    }

    async fn close_quota<T>(&self, host: &Host, until: DateTime<Utc>) -> Answer<T> {
        let until = with_jitter(until);
        host.mark_exhausted(&self.broker, until).await;
        Answer::Wait { until, why: WaitReason::Quota }
    }
}

fn after_transport_error<T>(error: TransportError) -> AttemptOutcome<T> {
    match error {
        TransportError::TooLarge => AttemptOutcome::Over(Answer::Retry {
            code: "bad_response",
            reason: format!("the answer is larger than {BODY_BYTES} bytes"),
        }),
        TransportError::Network(error) => {
            let reason = isobar_telemetry::error_chain(&error);
            if error.is_timeout() {
                // It had its whole time; a second wait would only hold the slot.
                AttemptOutcome::Over(Answer::Retry { code: "upstream_timeout", reason })
            } else if error.is_connect() {
                AttemptOutcome::TryAgain { code: "upstream_unreachable", reason }
            } else {
                AttemptOutcome::TryAgain { code: "upstream_reset", reason }
            }
        }
    }
}

/// The provider's own words: Open-Meteo's `reason`, OpenWeather's `message`.
fn reason_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        #[serde(alias = "message")]
        reason: String,
    }
    let Ok(error) = serde_json::from_slice::<ErrorBody>(body) else { return String::new() };
    error.reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect()
}

fn with_jitter(until: DateTime<Utc>) -> DateTime<Utc> {
    until + TimeDelta::milliseconds(rand::rng().random_range(0..REOPENING_JITTER_MS))
}

/// The value of the metrics' label.
fn outcome<T>(answer: &Answer<T>) -> &'static str {
    match answer {
        Answer::Ok(_) => "ok",
        Answer::Retry { code, .. } | Answer::BadLocation { code, .. } => code,
        Answer::TooLarge { .. } => "split",
        Answer::Wait { .. } => "wait",
        Answer::Misconfigured { .. } => "config",
    }
}
