//! Identity: whether the number of a task belongs to another city already.
//!
//! A number is its source's: two files that count from 1 name different cities. A number belongs to
//! the first city that has it. A city of another name more than 50 km away is another city; it gets
//! a number made of its name and position, so both are stored and neither replaces the other.
//! Guarantees: `force` does not change that. Within one process it also holds for cities that are
//! still in flight.
//! Does not: look at cities without a name or without coordinates (see [`super::cities`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_model::city::{Coordinates, derived_city_id, fold_name};
use isobar_model::ids::CityId;
use isobar_model::task::CityTask;
use isobar_store::{Store, StoreError};

/// Two positions of one city are nearer than this.
const SAME_CITY_KM: f64 = 50.0;
const EARTH_RADIUS_KM: f64 = 6371.0;
/// How long a city that is not yet stored owns its number, and how many of them are remembered.
const CLAIM_TIME: Duration = Duration::from_mins(10);
const MAX_CLAIMS: usize = 65_536;

/// The owners of numbers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CityNumbers {
    store: Store,
    /// Cities in flight, which the store does not have yet.
    claims: Arc<Mutex<HashMap<CityId, (Owner, Instant)>>>,
}

/// A city that has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    pub name: String,
    pub coordinates: Coordinates,
}

impl Owner {
    /// Whether a city of this name and position is another one.
    pub fn is_other(&self, name: &str, coordinates: Coordinates) -> bool {
        fold_name(&self.name) != fold_name(name)
            && distance_km(self.coordinates, coordinates) > SAME_CITY_KM
    }
}

impl CityNumbers {
    pub fn new(store: Store) -> Self {
        Self { store, claims: Arc::default() }
    }

    /// The stored cities of these numbers that have coordinates.
    pub async fn stored(&self, ids: &[CityId]) -> Result<HashMap<CityId, Owner>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let cities = self.store.cities_by_id(ids).await?.into_iter();
        let owner = cities.filter_map(|city| {
            Some((city.id, Owner { name: city.name, coordinates: city.coordinates? }))
        });
        Ok(owner.collect())
    }

    /// Gives each task whose number is another city's a number of its own.
    pub async fn separate(&self, tasks: Vec<&mut CityTask>) -> Result<(), StoreError> {
        let ids: Vec<CityId> =
            tasks.iter().filter_map(|task| given(task)).map(|(id, _)| id).collect();
        let stored = self.stored(&ids).await?;
        let now = Instant::now();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.len() > MAX_CLAIMS {
            claims.retain(|_, (_, at)| now - *at < CLAIM_TIME);
        }
        for task in tasks {
            let Some((id, owner)) = given(task) else { continue };
            let is_other = match (stored.get(&id), claims.get(&id)) {
                (Some(known), _) => known.is_other(&owner.name, owner.coordinates),
                (None, Some((known, at))) if now - *at < CLAIM_TIME => {
                    known.is_other(&owner.name, owner.coordinates)
                }
                (None, _) => {
                    claims.insert(id, (owner.clone(), now));
                    false
                }
            };
            if is_other {
                let country = task.country_code.as_deref();
                task.city_id = Some(derived_city_id(&owner.name, country, Some(owner.coordinates)));
            }
        }
        Ok(())
    }
}

/// The number that the source gave, and the city that it gave it to.
fn given(task: &CityTask) -> Option<(CityId, Owner)> {
    let id = task.city_id.filter(|id| id.0 > 0)?;
    let owner = Owner { name: task.city.clone()?, coordinates: task.coordinates? };
    Some((id, owner))
}

/// The distance over the globe.
pub fn distance_km(one: Coordinates, other: Coordinates) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let along = half(other.latitude() - one.latitude());
    let across = half(other.longitude() - one.longitude());
    let [from, to] = [one, other].map(|at| at.latitude().to_radians().cos());
    2.0 * EARTH_RADIUS_KM * (along + from * to * across).clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).expect("on the globe")
    }

    #[test]
    fn another_city_has_another_name_and_is_far() {
        let owner = Owner { name: "Uppsala".to_owned(), coordinates: at(59.858, 17.645) };
        assert!(owner.is_other("Suva", at(-18.142, 178.442)));
        assert!(!owner.is_other("UPPSALA", at(-18.142, 178.442)), "the same name");
        assert!(!owner.is_other("Upsala", at(59.9, 17.7)), "near");
        assert!(owner.is_other("Stockholm", at(59.329, 18.069)));
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let km = distance_km(at(48.85, 2.35), at(52.52, 13.41));
        assert!((870.0..890.0).contains(&km), "{km}");
        let across = distance_km(at(0.0, 179.9), at(0.0, -179.9));
        assert!(across < 23.0, "{across}");
    }
}
