//! How often each client may ask: `ISOBAR_RATE_LIMIT`.
//!
//! A client is the other end of the connection; behind a proxy that is the proxy, so limit there.
//! An IPv6 client is its /64, which is what one customer gets. Each may ask all of its requests at
//! once and then as many as grow back. What is remembered is bounded: clients that have all their
//! requests again are forgotten, and more than [`MAX_CLIENTS`] at once share one allowance.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_settings::RateSpec;

const MAX_CLIENTS: usize = 10_000;
/// Looking for clients to forget takes a while when there are many: not with every request.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Whom those share for whom there is no room.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

pub struct Rates {
    /// `None` limits nobody.
    spec: Option<RateSpec>,
    known: Mutex<Known>,
}

struct Known {
    /// When each client has all of its requests again.
    clients: HashMap<IpAddr, Instant>,
    swept_at: Instant,
}

impl Rates {
    pub fn new(spec: RateSpec) -> Self {
        let known = Known { clients: HashMap::new(), swept_at: Instant::now() };
        Self { spec: spec.requests().is_some().then_some(spec), known: Mutex::new(known) }
    }

    /// Takes one request from the client's; an error says when it is worth coming back.
    pub fn admit(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some((requests, window)) = self.spec.and_then(RateSpec::requests) else {
            return Ok(());
        };
        // What a panic elsewhere left is a map all the same.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let client = known.room_for(client_of(peer), now);
        let full_at = known.clients.get(&client).copied().unwrap_or(now);
        let next = take(full_at, now, requests, window)?;
        known.clients.insert(client, next);
        Ok(())
    }
}

impl Known {
    /// The client itself if there is room to remember it.
    fn room_for(&mut self, client: IpAddr, now: Instant) -> IpAddr {
        if self.clients.len() < MAX_CLIENTS || self.clients.contains_key(&client) {
            return client;
        }
        if now >= self.swept_at + SWEEP_EVERY {
            self.swept_at = now;
            self.clients.retain(|_, full_at| *full_at > now);
        }
        if self.clients.len() < MAX_CLIENTS { client } else { CROWD }
    }
}

/// When the client has all of its requests again after this one, or how long it has to wait for it.
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

fn client_of(peer: IpAddr) -> IpAddr {
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

    fn rates(spec: &str) -> Rates {
        Rates::new(spec.parse().expect("a rate"))
    }

    #[test]
    fn a_client_may_ask_all_at_once_and_then_what_grows_back() {
        let rates = rates("6/m");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(rates.admit(ip("192.0.2.1"), start), Ok(()));
        }
        assert_eq!(rates.admit(ip("192.0.2.1"), start), Err(Duration::from_secs(10)));
        assert_eq!(rates.admit(ip("192.0.2.1"), at(4)), Err(Duration::from_secs(6)));
        assert_eq!(rates.admit(ip("192.0.2.2"), at(4)), Ok(()), "another client");
        assert_eq!(rates.admit(ip("192.0.2.1"), at(10)), Ok(()));
        assert!(rates.admit(ip("192.0.2.1"), at(10)).is_err());
        for _ in 0..6 {
            assert_eq!(rates.admit(ip("192.0.2.1"), at(1_000)), Ok(()), "never more than six");
        }
        assert!(rates.admit(ip("192.0.2.1"), at(1_000)).is_err());
    }

    #[test]
    fn a_network_of_one_customer_is_one_client() {
        let rates = rates("1/h");
        let now = Instant::now();
        assert!(rates.admit(ip("2001:db8::1"), now).is_ok());
        assert!(rates.admit(ip("2001:db8::ffff:2"), now).is_err());
        assert!(rates.admit(ip("2001:db8:0:1::1"), now).is_ok());
        assert!(rates.admit(ip("::ffff:192.0.2.1"), now).is_ok());
        assert!(rates.admit(ip("192.0.2.1"), now).is_err());
    }

    #[test]
    fn more_clients_than_are_remembered_share_one_allowance_until_there_is_room() {
        let rates = rates("1/m");
        let now = Instant::now();
        for n in 0..MAX_CLIENTS as u32 {
            assert!(rates.admit(IpAddr::V4(n.into()), now).is_ok());
        }
        assert!(rates.admit(ip("192.0.2.1"), now).is_ok());
        assert!(rates.admit(ip("192.0.2.2"), now).is_err());
        let later = now + Duration::from_mins(2);
        assert!(rates.admit(ip("192.0.2.1"), later).is_ok());
        assert!(rates.admit(ip("192.0.2.2"), later).is_ok());
        assert_eq!(rates.known.lock().expect("a map").clients.len(), 2);
    }

    #[test]
    fn without_a_limit_nobody_is_remembered() {
        let rates = rates("none");
        for _ in 0..1_000 {
            assert!(rates.admit(ip("192.0.2.1"), Instant::now()).is_ok());
        }
        assert!(rates.known.lock().expect("a map").clients.is_empty());
    }
}
