//! Counters: requests, locations and faults per endpoint, and the highest number in flight.
//!
//! Guarantees: `requests` counts every request of an endpoint, faulted or not. `locations` counts
//! only records in right answers (for user services: users, addresses, cards). `faults` counts the
//! rules that fired. Requests to `/_sim/` are never counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::endpoint::Endpoint;

#[derive(Debug, Default)]
pub struct Counters {
    endpoints: [EndpointCounters; Endpoint::COUNT],
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
}

#[derive(Debug, Default)]
struct EndpointCounters {
    requests: AtomicU64,
    locations: AtomicU64,
    faults: AtomicU64,
}

/// A running request. Dropping it lowers the count, also after the client disconnects.
#[derive(Debug)]
pub struct InFlight<'a> {
    in_flight: &'a AtomicU64,
    /// How many requests the endpoint had before this one.
    pub nth: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub fn request(&self, endpoint: Endpoint) -> InFlight<'_> {
        let nth = self.of(endpoint).requests.fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Ordering::Relaxed);
        InFlight { in_flight: &self.in_flight, nth }
    }

    pub fn locations(&self, endpoint: Endpoint, locations: u64) {
        self.of(endpoint).locations.fetch_add(locations, Ordering::Relaxed);
    }

    pub fn fault(&self, endpoint: Endpoint) {
        self.of(endpoint).faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets all counters to zero. Running requests stay in flight.
    pub fn clear(&self) {
        for counter in self.endpoints.iter().flat_map(EndpointCounters::all) {
            counter.store(0, Ordering::Relaxed);
        }
        self.max_in_flight.store(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Totals, and the same per endpoint path.
    pub fn to_json(&self) -> Value {
        let mut totals = [0; 3];
        let mut endpoints = serde_json::Map::new();
        for endpoint in Endpoint::all() {
            let counts = self.of(endpoint).all().map(|counter| counter.load(Ordering::Relaxed));
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
            endpoints.insert(endpoint.path().to_owned(), counts_json(counts));
        }
        let mut stats = counts_json(totals);
        stats["in_flight"] = self.in_flight.load(Ordering::Relaxed).into();
        stats["max_in_flight"] = self.max_in_flight.load(Ordering::Relaxed).into();
        stats["endpoints"] = endpoints.into();
        stats
    }

    fn of(&self, endpoint: Endpoint) -> &EndpointCounters {
        &self.endpoints[endpoint as usize]
    }
}

impl EndpointCounters {
    fn all(&self) -> [&AtomicU64; 3] {
        [&self.requests, &self.locations, &self.faults]
    }
}

fn counts_json([requests, locations, faults]: [u64; 3]) -> Value {
    json!({"requests": requests, "locations": locations, "faults": faults})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_totals_per_endpoint_and_overall() {
        let counters = Counters::default();
        let first = counters.request(Endpoint::Forecast);
        let second = counters.request(Endpoint::Cities);
        counters.locations(Endpoint::Forecast, 100);
        counters.fault(Endpoint::Cities);
        drop(first);
        let stats = counters.to_json();
        assert_eq!(stats["requests"], 2);
        assert_eq!(stats["in_flight"], 1);
        assert_eq!(stats["max_in_flight"], 2);
        assert_eq!(
            stats["endpoints"]["/v1/forecast"],
            json!({"requests": 1, "locations": 100, "faults": 0})
        );
        assert_eq!(stats["endpoints"]["/cities/"]["faults"], 1);
        drop(second);
        counters.clear();
        assert_eq!(counters.to_json()["requests"], 0);
        assert_eq!(counters.to_json()["max_in_flight"], 0);
    }
}
