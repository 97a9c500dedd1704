//! A file of cities, and how each of its rows must end.
//!
//! The expectation is computed from the rows that were written, never from what Isobar made of them:
//! most are cities with coordinates of their own, some repeat a city, some cannot be used, and one
//! is refused by the upstream. The weather itself is the simulator's function of place and hour.

use std::collections::BTreeMap;
use std::fmt::Write;

use isobar_sim::weather::{Location, Weather, weather_at};

/// Numbers that no real city has, so that the built-in list adds nothing.
const FIRST_ID: i64 = 50_000_000;
/// The row that the simulator has no data for.
const REFUSED_ROW: u64 = 50;

/// How a row must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Stored { city: i64 },
    Failed { city: i64, code: &'static str },
    Rejected { code: &'static str },
}

/// A file's text and its expectation.
#[derive(Clone, Debug)]
pub struct Source {
    pub text: String,
    /// By row number; rows that repeat a city have no end of their own.
    pub ends: BTreeMap<u64, End>,
    pub duplicates: u64,
    /// Where each city is.
    pub places: BTreeMap<i64, (f64, f64)>,
}

impl Source {
    /// `rows` rows; files of another `number` share no city.
    pub fn of(rows: u64, number: i64) -> Self {
        let mut source = Self {
            text: "city_id,city,country,latitude,longitude\n".to_owned(),
            ends: BTreeMap::new(),
            duplicates: 0,
            places: BTreeMap::new(),
        };
        for row in 1..=rows {
            source.add(row, FIRST_ID + number * 1_000_000 + row as i64);
        }
        source
    }

    pub fn rows(&self) -> u64 {
        self.ends.len() as u64 + self.duplicates
    }

    pub fn rejects(&self) -> u64 {
        self.count(|end| matches!(end, End::Rejected { .. }))
    }

    /// The city of a row that has one.
    pub fn city(&self, row: u64) -> i64 {
        match self.ends[&row] {
            End::Stored { city } | End::Failed { city, .. } => city,
            End::Rejected { .. } => panic!("row {row} is no city"),
        }
    }

    /// The same with one city that is given up.
    pub fn with_failure(mut self, city: i64, code: &'static str) -> Self {
        let row = self.ends.values_mut().find(|end| **end == End::Stored { city });
        *row.expect("a city of this file") = End::Failed { city, code };
        self.places.remove(&city);
        self
    }

    /// The first cities that the simulator's city service lists.
    pub fn listed(rows: u64) -> Self {
        let mut source = Self::of(0, 0);
        for (row, city) in (1..=rows).zip(isobar_sim::cities::real()) {
            source.ends.insert(row, End::Stored { city: city.id });
            source.places.insert(city.id, (city.latitude, city.longitude));
        }
        source
    }

    pub fn count(&self, fits: impl Fn(&End) -> bool) -> u64 {
        self.ends.values().filter(|end| fits(end)).count() as u64
    }

    fn add(&mut self, row: u64, city: i64) {
        let text = &mut self.text;
        let written = if row == REFUSED_ROW {
            self.ends.insert(row, End::Failed { city, code: "location_rejected" });
            writeln!(text, "{city},\"Nowhere, {row}\",FR,-89.9,0")
        } else if row.is_multiple_of(17) {
            self.ends.insert(row, End::Rejected { code: "blank_name" });
            writeln!(text, "{city}, ,FR,,")
        } else if row.is_multiple_of(29) {
            self.ends.insert(row, End::Rejected { code: "bad_latitude" });
            writeln!(text, "{city},City {row},FR,91,12")
        } else if row.is_multiple_of(23) {
            self.duplicates += 1;
            let (first, (latitude, longitude)) =
                self.places.first_key_value().expect("the first row is a city");
            writeln!(text, "{first},City 1,FR,{latitude},{longitude}")
        } else {
            let place = ((row % 80) as f64 + 0.5, (row % 170) as f64 + 0.25);
            self.ends.insert(row, End::Stored { city });
            self.places.insert(city, place);
            writeln!(text, "{city},Città {row},FR,{},{}", place.0, place.1)
        };
        written.expect("a String takes everything");
    }
}

/// What the simulator says of a place in the hour of `time` (`2026-01-16T05:15`, UTC).
pub fn weather(place: (f64, f64), time: &str) -> Option<Weather> {
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M").ok()?;
    Some(weather_at(Location::new(place.0, place.1), 0, time.and_utc().timestamp()))
}
