//! Providers of addresses and cards: unreliable by their own word, so nothing depends on them.
//!
//! One request finds something for all that ask: `size` of random-data-api, or `limit` and `skip` of
//! DummyJSON (each ignores the other's words). Answers belong to the users by position. A short one serves the
//! first of them; the others are asked for again. Each provider has a breaker of its own that opens
//! sooner than a weather service's, before the tasks that wait for it have used up their attempts.
//!
//! A card's number is dropped where the answer is read, before anything else can see it.

use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use serde_json::Value;
use url::Url;

use super::client::{Client, Unreadable, host_name, http_client};
use super::host::Host;
use super::{Answer, Priority, Upstream, UpstreamState, Waiting};
use isobar_broker::Switches;
use isobar_model::ids::UserId;
use isobar_model::quota::QuotaLimits;
use isobar_model::user::{Address, Card, CardKey, Flaw, address, card, items};
use isobar_settings::values::BreakerSpec;

/// As many as random-data-api gives at once.
pub const LARGEST_REQUEST: usize = 100;
/// Failures that open a provider's breaker, whatever a weather service is allowed.
const FAILURES: u32 = 5;
/// Users are spread over the first so many of a fixed list, so that not all get the same.
const SPREAD: i64 = 100;

/// A client of both. Cheap to clone; clones share breakers and connections.
#[derive(Clone, Debug)]
pub struct Providers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Arc<Client>,
    addresses: Provider,
    cards: Provider,
    key: CardKey,
}

#[derive(Debug)]
struct Provider {
    host: Host,
    url: Url,
    /// Why there is none, where the machine has no certificates.
    http: Result<reqwest::Client, String>,
}

/// For each user who was asked for, what was found, or why it is unusable; shorter if it was short.
pub type Found<T> = Vec<Result<T, Flaw>>;

impl Providers {
    /// Beside the weather services, with the same broker and settings.
    pub fn beside(upstream: &Upstream, key: CardKey) -> Self {
        let client = Arc::clone(&upstream.client);
        let settings = client.settings();
        let of_setting = settings.upstream_breaker;
        let breaker = BreakerSpec { failures: of_setting.failures.min(FAILURES), ..of_setting };
        let provider = |url: Url| Provider {
            host: Host::new(host_name(&url), QuotaLimits::default(), false, breaker),
            http: http_client(settings, &[&url]).map_err(|error| format!("{error:#}")),
            url,
        };
        let addresses = provider(settings.addresses_url());
        let cards = provider(settings.cards_url());
        Self { inner: Arc::new(Inner { client, addresses, cards, key }) }
    }

    pub async fn addresses(&self, users: &[UserId]) -> Answer<Found<Address>> {
        self.ask(&self.inner.addresses, users, address::read).await
    }

    pub async fn cards(&self, users: &[UserId]) -> Answer<Found<Card>> {
        let today: NaiveDate = Utc::now().date_naive();
        let key = &self.inner.key;
        self.ask(&self.inner.cards, users, |record| card::read(record, key, today)).await
    }

    async fn ask<T>(
        &self,
        provider: &Provider,
        users: &[UserId],
        read: impl Fn(&Value) -> Result<T, Flaw>,
    ) -> Answer<Found<T>> {
        let http = match &provider.http {
            Ok(http) => http,
            Err(reason) => return Answer::Config { reason: reason.clone() },
        };
        let size = users.len().to_string();
        let first = users.iter().map(|user| user.0).min().unwrap_or_default();
        let skip = (first - 1).rem_euclid(SPREAD).to_string();
        let asked = [("size", &size), ("limit", &size), ("skip", &skip)];
        let build = |_: &reqwest::Client| http.get(provider.url.clone()).query(&asked);
        let parse = |body: &[u8]| {
            // Not serde's own words: they would quote what they could not read.
            let answer: Value = serde_json::from_slice(body)
                .map_err(|_| Unreadable::Broken("the answer is no JSON".to_owned()))?;
            match items(&answer) {
                [] => Err(Unreadable::Broken("the answer holds no record".to_owned())),
                records => Ok(records.iter().take(users.len()).map(&read).collect()),
            }
        };
        self.inner.client.request(&provider.host, 1, Priority::Batch, build, parse).await
    }

    /// Closes the breakers that operators have had reset since this was called last.
    pub fn obey(&self, switches: &Switches) {
        for host in self.hosts() {
            if let Some(reset) = switches.breaker(&host.name) {
                host.reset_breaker(reset);
            }
        }
    }

    /// Until when neither is worth asking, if that is so now.
    pub fn shut_until(&self) -> [Option<(chrono::DateTime<Utc>, Waiting)>; 2] {
        self.hosts().map(Host::shut_until)
    }

    /// Addresses, then cards.
    pub async fn states(&self) -> [UpstreamState; 2] {
        let broker = self.inner.client.broker();
        let [addresses, cards] = self.hosts();
        [addresses.state(broker).await, cards.state(broker).await]
    }

    pub(super) fn hosts(&self) -> [&Host; 2] {
        [&self.inner.addresses.host, &self.inner.cards.host]
    }
}
