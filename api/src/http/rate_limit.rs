//! The rate limit of each client: `ISOBAR_RATE_LIMIT`, and that of guessed keys.
//!
//! A client is the other end of the connection. Behind a proxy that is the proxy, so limit there. An
//! IPv6 client is its /64, which is what one customer gets. A client may use its whole allowance at
//! once; then it grows back evenly.
//!
//! Guarantees: memory is bounded. Clients with a full allowance are removed, and clients beyond
//! [`MAX_CLIENTS`] share one allowance.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_settings::RateSpec;

const MAX_CLIENTS: usize = 10_000;
/// Removing expired clients is slow when there are many, so not with every request.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// All clients beyond [`MAX_CLIENTS`] together.
const OVERFLOW_CLIENT: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

pub struct RateLimiter {
    /// `None`: no limit.
    spec: Option<RateSpec>,
    buckets: Mutex<ClientBucket>,
}

struct ClientBucket {
    /// When each client has its full allowance again.
    clients: HashMap<IpAddr, Instant>,
    swept_at: Instant,
}

impl RateLimiter {
    pub fn new(spec: RateSpec) -> Self {
        let buckets = ClientBucket { clients: HashMap::new(), swept_at: Instant::now() };
        Self { spec: spec.requests().is_some().then_some(spec), buckets: Mutex::new(buckets) }
    }

    /// Takes one request from the client's allowance; an error is the time until the next one.
    pub fn admit(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.next(peer, now, |buckets, client, full_at| {
            buckets.clients.insert(client, full_at);
        })
    }

    /// Whether [`admit`](Self::admit) would take one; an error is the time until then.
    pub fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.next(peer, now, |_, _, _| {})
    }

    fn next(
        &self,
        peer: IpAddr,
        now: Instant,
        then: impl FnOnce(&mut ClientBucket, IpAddr, Instant),
    ) -> Result<(), Duration> {
        let Some((requests, window)) = self.spec.and_then(RateSpec::requests) else {
            return Ok(());
        };
        // After a panic elsewhere the map is still whole.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let client = buckets.room_for(client_of(peer), now);
        let full_at = buckets.clients.get(&client).copied().unwrap_or(now);
        let next = take(full_at, now, requests, window)?;
        then(&mut buckets, client, next);
        Ok(())
    }
}

impl ClientBucket {
    /// The client itself, or the overflow client if the map is full.
    fn room_for(&mut self, client: IpAddr, now: Instant) -> IpAddr {
        if self.clients.len() < MAX_CLIENTS || self.clients.contains_key(&client) {
            return client;
        }
        if now >= self.swept_at + SWEEP_EVERY {
            self.swept_at = now;
            self.clients.retain(|_, full_at| *full_at > now);
        }
        if self.clients.len() < MAX_CLIENTS { client } else { OVERFLOW_CLIENT }
    }
}

/// When the client has its full allowance again after this request, or how long it must wait.
fn take(
    full_at: Instant,
    now: Instant,
    requests: u32,
    window: Duration,
) -> Result<Instant, Duration> {
    let next = full_at.max(now) + window / requests;
    match (next - now).checked_sub(window) {
        None | Some(Duration::ZERO) => Ok(next),
        Some(wait) => Err(wait),
    }
}

/// Who counts as one client.
pub fn client_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn limiter(spec: &str) -> RateLimiter {
        RateLimiter::new(spec.parse().expect("a rate"))
    }

    #[test]
    fn a_used_allowance_grows_back() {
        let limiter = limiter("6/m");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(limiter.admit(ip("192.0.2.1"), start), Ok(()));
        }
        assert_eq!(limiter.admit(ip("192.0.2.1"), start), Err(Duration::from_secs(10)));
        assert_eq!(limiter.admit(ip("192.0.2.1"), at(4)), Err(Duration::from_secs(6)));
        assert_eq!(limiter.admit(ip("192.0.2.2"), at(4)), Ok(()), "another client");
        assert_eq!(limiter.admit(ip("192.0.2.1"), at(10)), Ok(()));
        assert!(limiter.admit(ip("192.0.2.1"), at(10)).is_err());
        for _ in 0..6 {
            assert_eq!(limiter.admit(ip("192.0.2.1"), at(1_000)), Ok(()), "never more than six");
        }
        assert!(limiter.admit(ip("192.0.2.1"), at(1_000)).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let limiter = limiter("1/h");
        let now = Instant::now();
        assert!(limiter.admit(ip("2001:db8::1"), now).is_ok());
        assert!(limiter.admit(ip("2001:db8::ffff:2"), now).is_err());
        assert!(limiter.admit(ip("2001:db8:0:1::1"), now).is_ok());
        assert!(limiter.admit(ip("::ffff:192.0.2.1"), now).is_ok());
        assert!(limiter.admit(ip("192.0.2.1"), now).is_err());
    }

    #[test]
    fn clients_beyond_the_maximum_share_one_allowance() {
        let limiter = limiter("1/m");
        let now = Instant::now();
        for n in 0..MAX_CLIENTS as u32 {
            assert!(limiter.admit(IpAddr::V4(n.into()), now).is_ok());
        }
        assert!(limiter.admit(ip("192.0.2.1"), now).is_ok());
        assert!(limiter.admit(ip("192.0.2.2"), now).is_err());
        let later = now + Duration::from_mins(2);
        assert!(limiter.admit(ip("192.0.2.1"), later).is_ok());
        assert!(limiter.admit(ip("192.0.2.2"), later).is_ok());
        assert_eq!(limiter.buckets.lock().expect("a map").clients.len(), 2);
    }

    #[test]
    fn without_a_limit_no_client_is_kept() {
        let limiter = limiter("none");
        for _ in 0..1_000 {
            assert!(limiter.admit(ip("192.0.2.1"), Instant::now()).is_ok());
        }
        assert!(limiter.buckets.lock().expect("a map").clients.is_empty());
    }
}
