//! Enrichment: the providers of addresses and cards.
//!
//! One request serves all users of a batch: `size` of random-data-api, or `limit` and `skip` of
//! DummyJSON (each ignores the other's parameters). Records belong to the users by position; after
//! a short answer the other users are requested again. Each provider has its own breaker, which
//! opens sooner than a weather service's, before waiting tasks have used up their attempts.
//!
//! Guarantees: a card number is dropped where the answer is read and has no field anywhere.

use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use isobar_broker::Flags;
use isobar_model::ids::UserId;
use isobar_model::quota::QuotaLimits;
use isobar_model::user::{Address, Card, FingerprintKey, InvalidRecord, address, card, records};
use isobar_settings::values::BreakerSpec;
use serde_json::Value;
use url::Url;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::host::{Host, UpstreamState};
use crate::http::{InvalidResponse, host_name, http_client};
use crate::weather_client::WeatherClient;

/// The most records that random-data-api gives for one request.
pub const MAX_BATCH: usize = 100;
/// The most failures that open a provider's breaker, whatever a weather service is allowed.
const MAX_FAILURES: u32 = 5;
/// Users are spread over this many records of a fixed list, so that they differ.
const SPREAD: i64 = 100;

/// A client of all providers. Cheap to clone; clones share breakers and connections.
#[derive(Clone, Debug)]
pub struct EnrichmentClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Arc<Client>,
    addresses: Endpoint,
    cards: Endpoint,
    key: FingerprintKey,
}

#[derive(Debug)]
struct Endpoint {
    host: Host,
    url: Url,
    /// The error says why the client could not be built: a machine without certificates.
    http: Result<reqwest::Client, String>,
}

/// For each user a record, or why it is unusable; shorter if the answer was short.
pub type ProviderRecords<T> = Vec<Result<T, InvalidRecord>>;

impl EnrichmentClient {
    /// Uses the broker and the settings of the weather client.
    pub fn new(upstream: &WeatherClient, key: FingerprintKey) -> Self {
        let client = Arc::clone(&upstream.client);
        let settings = client.settings();
        let spec = settings.upstream_breaker;
        let breaker = BreakerSpec { failures: spec.failures.min(MAX_FAILURES), ..spec };
        let endpoint = |url: Url| Endpoint {
            host: Host::new(host_name(&url), QuotaLimits::default(), false, breaker),
            http: http_client(settings, &[&url]).map_err(|error| format!("{error:#}")),
            url,
        };
        let addresses = endpoint(settings.addresses_url());
        let cards = endpoint(settings.cards_url());
        Self { inner: Arc::new(Inner { client, addresses, cards, key }) }
    }

    pub async fn addresses(&self, users: &[UserId]) -> Answer<ProviderRecords<Address>> {
        self.fetch(&self.inner.addresses, users, address::read).await
    }

    pub async fn cards(&self, users: &[UserId]) -> Answer<ProviderRecords<Card>> {
        let today: NaiveDate = Utc::now().date_naive();
        let key = &self.inner.key;
        self.fetch(&self.inner.cards, users, |record| card::read(record, key, today)).await
    }

    async fn fetch<T>(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        read: impl Fn(&Value) -> Result<T, InvalidRecord>,
    ) -> Answer<ProviderRecords<T>> {
        let http = match &endpoint.http {
            Ok(http) => http,
            Err(reason) => return Answer::Misconfigured { reason: reason.clone() },
        };
        let size = users.len().to_string();
        let first = users.iter().map(|user| user.0).min().unwrap_or_default();
        let skip = (first - 1).rem_euclid(SPREAD).to_string();
        let query = [("size", &size), ("limit", &size), ("skip", &skip)];
        let build = |_: &reqwest::Client| http.get(endpoint.url.clone()).query(&query);
        let parse = |body: &[u8]| {
            // serde's error is left out: it would quote the answer, and with it a card number.
            let answer: Value = serde_json::from_slice(body)
                .map_err(|_| InvalidResponse::Broken("the answer is not valid JSON".to_owned()))?;
            match records(&answer) {
                [] => Err(InvalidResponse::Broken("the answer holds no record".to_owned())),
                records => Ok(records.iter().take(users.len()).map(&read).collect()),
            }
        };
        self.inner.client.request(&endpoint.host, 1, Priority::Batch, build, parse).await
    }

    /// Closes the breakers that operators have reset since the last call.
    pub fn apply_flags(&self, flags: &Flags) {
        for (_, host) in self.hosts() {
            host.apply_flags(flags);
        }
    }

    /// The state of each provider, with its name in heartbeats.
    pub async fn states(&self) -> Vec<(&'static str, UpstreamState)> {
        let broker = self.inner.client.broker();
        let mut states = Vec::new();
        for (name, host) in self.hosts() {
            states.push((name, host.state(broker).await));
        }
        states
    }

    fn hosts(&self) -> impl Iterator<Item = (&'static str, &Host)> {
        let Inner { addresses, cards, .. } = &*self.inner;
        [("addresses", &addresses.host), ("cards", &cards.host)].into_iter()
    }
}
