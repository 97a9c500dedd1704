//! Which city a name means.
//!
//! The store's cities and the built-in list are looked at together: the most populous one wins
//! wherever it was found, and the answer says how many there were. A stored city close to the
//! list's is the same one under its source's own number, and is preferred, for it has a snapshot.
//! Only a name that neither knows goes to the geocoder, whose answer the store keeps for ever.

use isobar_model::city::{Place, fold_name};
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_store::CityRow;
use isobar_upstream::cities::{city_from_row, is_same_city};

use crate::http::params::Params;
use crate::http::problem::Problem;

/// The longest name that is looked up, in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 200;

/// What was asked for, fit to be compared and cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: String,
    pub folded: String,
    /// Two capital letters.
    pub country_code: Option<String>,
    /// The key in the caches; equal for all spellings.
    pub key: String,
}

impl Asked {
    pub fn read(params: &Params) -> Result<Self, Problem> {
        let wrong = |detail: &str| Problem::parameter("city", detail);
        let name = params
            .text("city")
            .ok_or_else(|| wrong("a city's name is needed, as in /weather?city=Paris"))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(wrong("no city has a name this long"));
        }
        if name.chars().any(char::is_control) {
            return Err(wrong("a name holds no control characters"));
        }
        let folded = fold_name(name);
        if folded.is_empty() {
            return Err(wrong("a name has at least one letter"));
        }
        let country_code = params
            .text("country")
            .map(|code| {
                if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    Ok(code.to_ascii_uppercase())
                } else {
                    let detail = "it must be a country's two-letter code, such as FR";
                    Err(Problem::parameter("country", detail))
                }
            })
            .transpose()?;
        let key = format!("weather:{folded}|{}", country_code.as_deref().unwrap_or(""));
        Ok(Self { name: name.to_owned(), folded, country_code, key })
    }
}

/// A city, and how many others could have been meant, itself included.
#[derive(Clone, Debug, PartialEq)]
pub struct Meant {
    pub place: Place,
    pub candidates: usize,
}

/// The city that is meant, as far as store (`stored`, most populous first) and list know.
pub fn meant(asked: &Asked, stored: &[CityRow]) -> Option<Meant> {
    let listed = gazetteer::builtin().by_name(&asked.name, asked.country_code.as_deref());
    let stored: Vec<Place> = stored.iter().filter_map(city_from_row).collect();
    choose(listed, &stored)
}

fn choose(listed: Option<(&Place, usize)>, stored: &[Place]) -> Option<Meant> {
    let Some((listed, listed_count)) = listed else {
        return Some(Meant { place: stored.first()?.clone(), candidates: stored.len() });
    };
    let others =
        stored.iter().filter(|place| !is_listed(place.id) && !is_same_city(place, listed)).count();
    let same = stored
        .iter()
        .find(|place| place.id == listed.id)
        .or_else(|| stored.iter().find(|place| is_same_city(place, listed)));
    let larger = stored.first().filter(|place| place.population > listed.population);
    let mut place = larger.or(same).unwrap_or(listed).clone();
    if larger.is_none() && place.country_code.is_none() {
        place.country_code.clone_from(&listed.country_code);
    }
    Some(Meant { place, candidates: listed_count + others })
}

fn is_listed(id: CityId) -> bool {
    gazetteer::builtin().by_id(id).is_some()
}

#[cfg(test)]
mod tests {
    use isobar_model::city::Coordinates;

    use super::*;

    fn place(id: i64, latitude: f64, population: Option<i64>) -> Place {
        Place {
            id: CityId(id),
            name: "Paris".to_owned(),
            country_code: None,
            admin1_code: None,
            coordinates: Coordinates::new(latitude, 2.35).expect("on the globe"),
            population,
        }
    }

    #[test]
    fn all_spellings_have_one_key_and_a_country_another() {
        let key = |query| Asked::read(&Params::of(query)).expect(query).key;
        assert_eq!(key("city=S%C3%A3o+Paulo"), key("city=SAO%20PAULO"));
        assert_eq!(key("city=Paris&country="), key("city=paris"));
        assert_ne!(key("city=Paris&country=us"), key("city=Paris"));
        assert_eq!(key("city=Paris&country=us"), key("city=Paris&country=US"));
    }

    #[test]
    fn a_name_that_is_none_and_a_country_that_is_none_are_refused() {
        let long = format!("city={}", "x".repeat(201));
        for query in [
            "",
            "city=",
            "city=%CC%81",
            "city=a%00b",
            "city=Paris&country=FRA",
            "city=Paris&country=1x",
            &long,
        ] {
            assert!(Asked::read(&Params::of(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn the_most_populous_city_wins_wherever_it_was_found() {
        let listed = place(2_988_507, 48.85, Some(2_000_000));
        let of = |stored: &[Place]| choose(Some((&listed, 3)), stored).expect("one");
        assert_eq!(of(&[]).candidates, 3);

        let small = place(7, 33.6, Some(25_000));
        assert_eq!(of(std::slice::from_ref(&small)).place.id, listed.id);
        assert_eq!(of(&[small]).candidates, 4);

        let same = place(42, 48.9, None);
        assert_eq!(of(std::slice::from_ref(&same)).place.id, CityId(42));
        assert_eq!(of(&[same]).candidates, 3);

        let large = place(9, 10.0, Some(9_000_000));
        assert_eq!(of(&[large]).place.id, CityId(9));
    }

    #[test]
    fn a_name_that_only_the_store_knows_is_found_there() {
        assert_eq!(choose(None, &[]), None);
        let only = place(-5, 1.0, None);
        let found = choose(None, std::slice::from_ref(&only)).expect("one");
        assert_eq!((found.place, found.candidates), (only, 1));
    }
}
