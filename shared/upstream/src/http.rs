//! HTTP: the clients for upstream hosts, and the reading of one response.
//!
//! Guarantees: redirects are off, time and body size are limited, and no error holds a URL
//! (OpenWeather's key is in its URL).

use std::time::Duration;

use anyhow::Context;
use isobar_settings::Settings;
use reqwest::header::RETRY_AFTER;
use reqwest::{Certificate, Response};
use url::{Host, Url};

/// A thousand locations with every variable that we request are a tenth of this.
pub const BODY_BYTES: usize = 8 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A client for these addresses.
pub fn http_client(settings: &Settings, urls: &[&Url]) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder();
    if urls.iter().all(|url| url.scheme() == "http") {
        // Plain HTTP also works on a machine without certificates.
        builder = builder.tls_certs_only([]);
    } else if let Some(file) = &settings.ca_file {
        let pem = isobar_tls::read_certificates(&file.0)?;
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    if urls.iter().all(|url| is_loopback(url)) {
        // A server on this host is never behind a proxy.
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

/// The name of a host in quotas, logs and metrics: with its port where that is not the usual one.
pub fn host_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A response, read to its end.
pub struct RawResponse {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

/// Why a response could not be read to its end.
pub enum TransportError {
    Network(reqwest::Error),
    TooLarge,
}

impl TransportError {
    /// Whether the request cannot have reached the service: no address, no connection, no TLS.
    pub fn never_arrived(&self) -> bool {
        matches!(self, Self::Network(error) if error.is_connect())
    }
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(error.without_url())
    }
}

pub async fn receive(mut response: Response) -> Result<RawResponse, TransportError> {
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
            return Err(TransportError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    // JSON has no mark at its start, but some servers write one.
    if body.starts_with(BYTE_ORDER_MARK) {
        body.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(RawResponse { status, retry_after, body })
}

/// Why a success cannot be used.
#[derive(Debug)]
pub enum InvalidResponse {
    /// Not the content that was requested: truncated, HTML, too short.
    Broken(String),
    /// In other units than the requested ones.
    Units(String),
}

impl InvalidResponse {
    pub fn json(error: &serde_json::Error) -> Self {
        Self::Broken(format!("the answer is not the expected JSON: {error}"))
    }
}
