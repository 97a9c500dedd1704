//! The people of the simulated user services, as pure functions of seed and number.
//!
//! A person, an address and a card number are the same each time they are asked for, so a test can
//! name every card number that may have been given out ([`crate::providers::card_numbers`]). Names and
//! streets are put together from short lists; nobody real is meant.
//!
//! How a service words them is its own business ([`crate::providers`]).

use std::sync::LazyLock;

use serde::Deserialize;

use crate::weather::mix;

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/people.json")).expect("embedded JSON")
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

/// Chance that is the same for the same seed, purpose and number.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// `purpose` keeps the names of person 7 apart from the street of address 7.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let purpose = purpose.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(mix(purpose ^ number))
    }

    /// The next number below `below`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 = mix(self.0);
        (self.0 >> 16) % below
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// That many decimal digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub first: &'static str,
    pub last: &'static str,
}

pub fn name(chance: &mut Chance) -> Name {
    Name { first: chance.one_of(&LISTS.first_names), last: chance.one_of(&LISTS.last_names) }
}

pub fn company(chance: &mut Chance) -> &'static str {
    chance.one_of(&LISTS.companies)
}

pub fn card_type(chance: &mut Chance) -> &'static str {
    chance.one_of(&LISTS.card_types)
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

pub fn address(chance: &mut Chance) -> Address {
    let (state, state_code) = chance.one_of(&LISTS.states);
    let (country, country_code) = chance.one_of(&LISTS.countries);
    let degrees = |chance: &mut Chance, limit: u64| {
        chance.below(2 * limit * 10_000) as f64 / 10_000.0 - limit as f64
    };
    Address {
        building_number: (chance.below(9_999) + 1).to_string(),
        street: chance.one_of(&LISTS.streets),
        city: chance.one_of(&LISTS.cities),
        state,
        state_code,
        country,
        country_code,
        postal_code: chance.digits(5),
        latitude: degrees(chance, 90),
        longitude: degrees(chance, 180),
    }
}

/// A letter with its accents and punctuation gone, as e-mail addresses and user names are made.
pub fn plain(name: &str) -> String {
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
    fn the_same_number_is_the_same_person_and_another_seed_another() {
        let draw = |seed, number| {
            let mut chance = Chance::new(seed, "user", number);
            (name(&mut chance).last, address(&mut chance).postal_code)
        };
        assert_eq!(draw(0, 7), draw(0, 7));
        assert_ne!(draw(0, 7), draw(0, 8));
        assert_ne!(draw(0, 7), draw(1, 7));
        assert_ne!(Chance::new(0, "user", 7).digits(12), Chance::new(0, "address", 7).digits(12));
    }

    #[test]
    fn an_address_line_of_mail_has_plain_letters_only() {
        assert_eq!(plain("O'Connor"), "oconnor");
        assert_eq!(plain("Zoë Müller"), "zoemuller");
    }
}
