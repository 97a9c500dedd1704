//! Cities: from a name or a number to a city, and from an observation to its snapshot.
//!
//! Guarantees: a name is looked up in the built-in list, then in the store, then at the geocoder;
//! the store keeps the geocoder's answer, so each name costs one request. Workers and API use the
//! same rules for what a stored row is and which records describe one city.

use std::fmt;

use chrono::{DateTime, Utc};
use isobar_model::city::{City, Coordinates, fold_name};
use isobar_model::freshness::is_ahead;
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_store::{AirQualityRow, CityRow, Store, StoreError, WeatherSnapshot};

use crate::air_quality::AirQuality;
use crate::answer::{Answer, Priority};
use crate::observation::Observation;
use crate::weather_client::WeatherClient;

/// The centres that two sources give for one city differ by less than this, in degrees.
const SAME_CITY_DEG: f64 = 0.5;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum CityLookup {
    Found(City),
    /// The geocoder knows a city whose name begins so.
    Unknown {
        nearest: Option<String>,
    },
}

impl From<Option<City>> for CityLookup {
    fn from(city: Option<City>) -> Self {
        city.map_or(Self::Unknown { nearest: None }, Self::Found)
    }
}

/// Finds cities by name and number. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CityFinder {
    upstream: WeatherClient,
    store: Store,
}

impl CityFinder {
    pub fn new(upstream: WeatherClient, store: Store) -> Self {
        Self { upstream, store }
    }

    /// The city of this name: the most populous of the first source that knows it.
    pub async fn find(
        &self,
        name: &str,
        country_code: Option<&str>,
        priority: Priority,
    ) -> Result<Answer<CityLookup>, StoreError> {
        if let Some((city, _)) = gazetteer::builtin().by_name(name, country_code) {
            return Ok(Answer::Ok(CityLookup::Found(city.clone())));
        }
        let folded = fold_name(name);
        let stored = self.store.find_cities(&folded, country_code).await?;
        if let Some(city) = stored.iter().find_map(city_from_row) {
            return Ok(Answer::Ok(CityLookup::Found(city)));
        }
        let answer = self.upstream.geocode(name, country_code, priority).await;
        let named = match answer.into_result() {
            Ok(named) => named,
            Err(failure) => return Ok(failure),
        };
        let Some(city) = named.cities.into_iter().next() else {
            return Ok(Answer::Ok(CityLookup::Unknown { nearest: named.nearest }));
        };
        self.store.save_city(&folded, country_code, &city).await?;
        Ok(Answer::Ok(CityLookup::Found(city)))
    }

    /// The city of this number, if the built-in list or the store knows where it is.
    pub async fn by_id(&self, id: CityId) -> Result<Option<City>, StoreError> {
        if let Some(city) = gazetteer::builtin().by_id(id) {
            return Ok(Some(city.clone()));
        }
        Ok(self.store.city(id).await?.as_ref().and_then(city_from_row))
    }
}

/// A stored row as a city. A row without coordinates takes those of its snapshot; without either
/// it is `None`.
pub fn city_from_row(row: &CityRow) -> Option<City> {
    let coordinates = row.coordinates.or_else(|| {
        let weather = row.weather.as_ref()?;
        Coordinates::new(weather.latitude, weather.longitude).ok()
    })?;
    Some(City {
        id: row.id,
        name: row.name.clone(),
        country_code: row.country_code.clone(),
        admin1_code: row.admin1_code.clone(),
        coordinates,
        population: row.population,
    })
}

/// Whether two centres may belong to one city.
pub fn is_near(one: Coordinates, other: Coordinates) -> bool {
    distance_deg(one, other) < SAME_CITY_DEG
}

/// Whether `record` describes the listed city of the same name. Between two listed cities their
/// numbers decide. A record under another source's number describes the nearest listed city.
pub fn is_same_city(record: &City, listed: &City) -> bool {
    if record.id == listed.id {
        return true;
    }
    let list = gazetteer::builtin();
    let distance = distance_deg(record.coordinates, listed.coordinates);
    distance < SAME_CITY_DEG
        && list.by_id(record.id).is_none()
        && list
            .named(&listed.name)
            .filter(|other| other.id != listed.id)
            .all(|other| distance < distance_deg(record.coordinates, other.coordinates))
}

/// The larger of the differences in latitude and longitude.
fn distance_deg(one: Coordinates, other: Coordinates) -> f64 {
    let latitude = (one.latitude() - other.latitude()).abs();
    latitude.max((one.longitude() - other.longitude()).abs())
}

/// A value that the upstream dates in the future; it must not be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct DatedAhead {
    observed_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl fmt::Display for DatedAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [observed_at, now] = [self.observed_at, self.now].map(|at| at.format("%FT%RZ"));
        write!(f, "the upstream dates its answer {observed_at}, but it is {now}")
    }
}

fn check_time(observed_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), DatedAhead> {
    if is_ahead(observed_at, now) { Err(DatedAhead { observed_at, now }) } else { Ok(()) }
}

/// The snapshot of an observation that was fetched at `now`. A city without a name keeps the
/// stored one.
pub fn snapshot(
    city: City,
    observation: Observation,
    now: DateTime<Utc>,
) -> Result<WeatherSnapshot, DatedAhead> {
    check_time(observation.observed_at, now)?;
    Ok(WeatherSnapshot {
        city_id: city.id,
        name: Some(city.name).filter(|name| !name.is_empty()),
        country_code: city.country_code,
        admin1_code: city.admin1_code,
        coordinates: city.coordinates,
        population: city.population,
        temperature: observation.temperature,
        windspeed: observation.windspeed,
        winddirection: observation.winddirection,
        weathercode: observation.weathercode,
        humidity: observation.humidity,
        time: observation.time,
        observed_at: observation.observed_at,
        fresh_until: observation.fresh_until,
        raw_payload: observation.raw_payload,
        synced_at: now,
    })
}

/// The row of an air quality that was fetched at `now`.
pub fn air_quality_row(
    city_id: CityId,
    air: &AirQuality,
    now: DateTime<Utc>,
) -> Result<AirQualityRow, DatedAhead> {
    check_time(air.observed_at, now)?;
    Ok(AirQualityRow {
        city_id,
        pm10: air.pm10,
        pm2_5: air.pm2_5,
        carbon_monoxide: air.carbon_monoxide,
        nitrogen_dioxide: air.nitrogen_dioxide,
        ozone: air.ozone,
        european_aqi: air.european_aqi,
        us_aqi: air.us_aqi,
        observed_at: air.observed_at,
        fresh_until: air.fresh_until,
        synced_at: now,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// All pairs of listed cities with one name and country.
    fn namesakes() -> Vec<(&'static City, &'static City)> {
        let mut named: HashMap<_, Vec<&City>> = HashMap::new();
        for city in gazetteer::builtin().cities() {
            named.entry((fold_name(&city.name), &city.country_code)).or_default().push(city);
        }
        let pairs = |cities: Vec<&'static City>| -> Vec<_> {
            let all = cities.iter().flat_map(|one| cities.iter().map(move |other| (*one, *other)));
            all.filter(|(one, other)| one.id != other.id).collect()
        };
        named.into_values().flat_map(pairs).collect()
    }

    fn under_a_foreign_number(city: &City) -> City {
        City { id: CityId(-1), ..city.clone() }
    }

    /// Distance alone cannot decide. Kansas City in Missouri and in Kansas are 0.05 degrees apart,
    /// and 22 pairs of namesakes are closer than 0.25: either value would merge them. So numbers
    /// and the nearest namesake decide.
    #[test]
    fn listed_namesakes_are_never_merged() {
        let namesakes = namesakes();
        assert!(namesakes.len() > 2_000, "the list has about 1,400 pairs, each in both orders");
        for (one, other) in namesakes {
            assert!(!is_same_city(one, other), "{one:?} {other:?}");
            let record = under_a_foreign_number(one);
            assert!(!is_same_city(&record, other), "{one:?} {other:?}");
        }
    }

    /// So the tolerance may be as wide as centres differ. The list holds towns twice, with one
    /// population and centres up to half a degree apart (Komárno, Karuri, Kahrizak): 0.25 would
    /// split them.
    #[test]
    fn a_centre_half_a_degree_off_is_tolerated() {
        let distance =
            |(one, other): &(&City, &City)| distance_deg(one.coordinates, other.coordinates);
        let mut twice = namesakes();
        twice.retain(|pair| pair.0.population == pair.1.population);
        twice.retain(|pair| (0.25..0.5).contains(&distance(pair)));
        assert!(twice.len() > 10, "8 towns, each in both orders");
        assert!(twice.iter().all(|(one, other)| is_near(one.coordinates, other.coordinates)));
    }

    #[test]
    fn a_foreign_number_describes_the_listed_city_nearby() {
        let (paris, _) = gazetteer::builtin().by_name("Paris", None).expect("listed");
        let at = |latitude, longitude| City {
            coordinates: Coordinates::new(latitude, longitude).expect("on the globe"),
            ..under_a_foreign_number(paris)
        };
        assert!(is_same_city(&at(48.95, 2.75), paris));
        assert!(!is_same_city(&at(33.66, -95.55), paris), "that is in Texas");
    }
}
