//! Fake users: names, addresses and random numbers of the simulated user services.
//!
//! Guarantees: all values are pure functions of seed, purpose and number. A test can therefore list
//! every card number that may appear ([`crate::providers::card_numbers`]). Names and streets are
//! combined from short lists; they do not describe real users.
//! Does not: know the JSON of a service (see [`crate::providers`]).

use std::sync::LazyLock;

use serde::Deserialize;

use crate::weather::mix;

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/fake_users.json")).expect("embedded JSON")
});

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
struct Lists {
    first_names: Vec<&'static str>,
    last_names: Vec<&'static str>,
    streets: Vec<&'static str>,
    cities: Vec<&'static str>,
    /// Name and code.
    states: Vec<(&'static str, &'static str)>,
    /// Name and code.
    countries: Vec<(&'static str, &'static str)>,
    companies: Vec<&'static str>,
    card_types: Vec<&'static str>,
}

/// A random sequence that depends only on seed, purpose and number.
#[derive(Clone, Copy, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    /// `purpose` makes user 7 independent of address 7.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let purpose = purpose.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(mix(purpose ^ number))
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = mix(self.0);
        (self.0 >> 16) % limit
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// `count` decimal digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub first: &'static str,
    pub last: &'static str,
}

pub fn name(rng: &mut SeededRng) -> Name {
    Name { first: rng.pick(&LISTS.first_names), last: rng.pick(&LISTS.last_names) }
}

pub fn company_name(rng: &mut SeededRng) -> &'static str {
    rng.pick(&LISTS.companies)
}

pub fn card_type(rng: &mut SeededRng) -> &'static str {
    rng.pick(&LISTS.card_types)
}

#[derive(Clone, Debug)]
pub struct Address {
    pub building_number: String,
    pub street: &'static str,
    pub city: &'static str,
    pub state: &'static str,
    pub state_code: &'static str,
    pub country: &'static str,
    pub country_code: &'static str,
    pub postal_code: String,
    pub latitude: f64,
    pub longitude: f64,
}

pub fn address(rng: &mut SeededRng) -> Address {
    let (state, state_code) = rng.pick(&LISTS.states);
    let (country, country_code) = rng.pick(&LISTS.countries);
    let degrees = |rng: &mut SeededRng, limit: u64| {
        rng.below(2 * limit * 10_000) as f64 / 10_000.0 - limit as f64
    };
    Address {
        building_number: (rng.below(9_999) + 1).to_string(),
        street: rng.pick(&LISTS.streets),
        city: rng.pick(&LISTS.cities),
        state,
        state_code,
        country,
        country_code,
        postal_code: rng.digits(5),
        latitude: degrees(rng, 90),
        longitude: degrees(rng, 180),
    }
}

/// Lower-case ASCII letters and digits of a name, for e-mail addresses and user names.
pub fn ascii_letters(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfkd()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_seed_purpose_and_number() {
        let draw = |seed, number| {
            let mut rng = SeededRng::new(seed, "user", number);
            (name(&mut rng).last, address(&mut rng).postal_code)
        };
        assert_eq!(draw(0, 7), draw(0, 7));
        assert_ne!(draw(0, 7), draw(0, 8));
        assert_ne!(draw(0, 7), draw(1, 7));
        assert_ne!(
            SeededRng::new(0, "user", 7).digits(12),
            SeededRng::new(0, "address", 7).digits(12)
        );
    }

    #[test]
    fn mail_names_are_plain_ascii() {
        assert_eq!(ascii_letters("O'Connor"), "oconnor");
        assert_eq!(ascii_letters("Zoë Müller"), "zoemuller");
    }
}
