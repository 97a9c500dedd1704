//! A free tier from the first request to the last of 10,000 cities, in simulated time.
//!
//! Our windows on one side, the provider's limiter on the other, each as it is in the product and
//! in the simulator; between them workers that do what workers do: reserve, ask, settle, and wait
//! until they are told. Days pass in milliseconds, so nothing here is measured in real time.
//! `tests/it/worker.rs` has the same with real requests, a minute long.

use isobar_broker::embedded::quota_windows::QuotaWindows;
use isobar_model::quota::{QuotaLimits, QuotaUsage};
use isobar_model::quota_forecast::{Cost, exhausted_at};
use isobar_sim::limiter::{self, Limiter};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const FREE: QuotaLimits = QuotaLimits { minute: Some(600), hour: Some(5_000), day: Some(10_000) };
const CITIES: u64 = 10_000;
const A_REQUEST: u64 = 100;
/// 2026-03-10, 17 minutes and 23 seconds past nine.
const START_MS: i64 = 1_773_134_243_000;

struct Day {
    windows: QuotaWindows,
    provider: Limiter,
    left: u64,
    /// Refusals for a used-up window.
    refused: Vec<&'static str>,
    /// How long it was said to take, at times of our choice.
    told: Vec<(i64, i64)>,
    chance: StdRng,
}

impl Day {
    fn new(seed: u64) -> Self {
        Self {
            windows: QuotaWindows::default(),
            provider: Limiter::default(),
            left: CITIES,
            refused: Vec::new(),
            told: Vec::new(),
            chance: StdRng::seed_from_u64(seed),
        }
    }

    /// When a worker that is free at `now` has its next request behind it, or may ask again.
    async fn turn(&mut self, now: i64) -> i64 {
        let units = self.left.min(A_REQUEST);
        if let Err(until) = self.windows.reserve(&FREE, units, true, now) {
            return until + self.chance.random_range(0..2_000);
        }
        let answered = now + self.chance.random_range(20..3_000);
        match self.provider.enter(now / 1_000).await {
            Ok(_turn) => {
                self.provider.charge(answered / 1_000, units as f64);
                self.left -= units;
            }
            Err(reason) => {
                self.refused.push(reason);
                self.windows.settle(units, 0, now);
                let length = match reason {
                    limiter::MINUTELY => 60_000,
                    limiter::HOURLY => 3_600_000,
                    _ => 86_400_000,
                };
                self.windows.blocked_until_ms = (now / length + 1) * length;
            }
        }
        answered
    }

    fn tell(&mut self, now: i64) {
        let ([minute, hour, day], shut_until) = self.windows.used(&FREE, now);
        let used = QuotaUsage { minute, hour, day, blocked_until: None };
        let cost = Cost { units: self.left, per_request: A_REQUEST };
        let until =
            exhausted_at(&FREE, &used, cost, shut_until.map_or(now, |until| until.max(now)));
        self.told.push((now, until.expect("within days")));
    }

    /// Runs until nothing is left; when that was.
    async fn run(&mut self, workers: usize) -> i64 {
        let mut free = vec![START_MS; workers];
        loop {
            let next = (0..workers).min_by_key(|worker| free[*worker]).expect("a worker");
            let now = free[next];
            if self.left == 0 {
                return free.into_iter().max().expect("a worker");
            }
            self.tell(now);
            free[next] = self.turn(now).await;
        }
    }
}

#[tokio::test]
async fn ten_thousand_cities_cause_no_refusal_and_take_as_long_as_was_said() {
    let mut ends = Vec::new();
    for (workers, seed) in [(1, 1), (4, 1), (4, 2), (4, 3), (16, 4)] {
        let mut day = Day::new(seed);
        let end = day.run(workers).await;
        assert_eq!(day.refused, [""; 0], "{workers} workers");
        let off = |(at, until): &(i64, i64)| {
            let (took, said) = (end - at, until - at);
            // The quota says nothing of the last requests' own seconds.
            (took - said).abs() > (took / 20).max(10_000)
        };
        let wrong: Vec<_> = day.told.iter().filter(|told| off(told)).collect();
        assert!(wrong.is_empty(), "{workers} workers ended at {end}, and said {wrong:?}");
        ends.push(end);
    }
    // Nine tenths of a day's quota on the first day, the rest right after midnight UTC.
    let midnight = 1_773_187_200_000;
    for end in ends {
        assert!((midnight..midnight + 4 * 60_000).contains(&end), "{end}");
    }
}

#[tokio::test]
async fn a_quota_that_others_have_used_is_found_out_once_a_window() {
    // Somebody else behind our address had most of the hour.
    let mut day = Day::new(5);
    day.provider.charge(START_MS / 1_000, 4_000.0);
    day.run(4).await;
    for reason in [limiter::MINUTELY, limiter::HOURLY, limiter::DAILY] {
        let refused = day.refused.iter().filter(|refused| **refused == reason).count();
        // Those that were on their way when the first was refused are refused with it.
        assert!((1..=4).contains(&refused), "{:?}", day.refused);
    }
}
