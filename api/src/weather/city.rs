//! Which city a name means.
//!
//! The store's cities and the built-in list are searched together. The most populous city wins, and
//! the answer says how many candidates there were. A stored city close to the listed one is the same
//! city under its source's own id; it is preferred, because it has a snapshot.
//!
//! Does not: ask the geocoder (see [`super::lookup`]; only names that neither knows go there).

use isobar_model::city::{City, fold_name};
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_store::CityRow;
use isobar_upstream::cities::{city_from_row, is_same_city};

use crate::http::params::Params;
use crate::http::problem::Problem;

/// The longest name that is looked up, in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 200;

/// The validated query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CityQuery {
    pub name: String,
    pub folded: String,
    /// Two upper-case letters.
    pub country_code: Option<String>,
    /// The key in the caches, equal for all spellings.
    pub key: String,
}

impl CityQuery {
    pub fn read(params: &Params) -> Result<Self, Problem> {
        let invalid = |detail: &str| Problem::parameter("city", detail);
        let name = params
            .text("city")
            .ok_or_else(|| invalid("required, for example /weather?city=Paris"))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(invalid("too long: at most 200 bytes"));
        }
        if name.chars().any(char::is_control) {
            return Err(invalid("must not contain control characters"));
        }
        let folded = fold_name(name);
        if folded.is_empty() {
            return Err(invalid("must contain at least one letter"));
        }
        let country_code = params
            .text("country")
            .map(|code| {
                if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    Ok(code.to_ascii_uppercase())
                } else {
                    let detail = "must be a two-letter country code, for example FR";
                    Err(Problem::parameter("country", detail))
                }
            })
            .transpose()?;
        let key = format!("weather:{folded}|{}", country_code.as_deref().unwrap_or(""));
        Ok(Self { name: name.to_owned(), folded, country_code, key })
    }
}

/// The city, and how many cities have its name, itself included.
#[derive(Clone, Debug, PartialEq)]
pub struct CityMatch {
    pub city: City,
    pub candidates: usize,
}

/// The city among `stored` (most populous first) and the built-in list. `None` if neither has it.
pub fn match_city(query: &CityQuery, stored: &[CityRow]) -> Option<CityMatch> {
    let listed = gazetteer::builtin().by_name(&query.name, query.country_code.as_deref());
    let stored: Vec<City> = stored.iter().filter_map(city_from_row).collect();
    choose(listed, &stored)
}

fn choose(listed: Option<(&City, usize)>, stored: &[City]) -> Option<CityMatch> {
    let Some((listed, listed_count)) = listed else {
        return Some(CityMatch { city: stored.first()?.clone(), candidates: stored.len() });
    };
    let others =
        stored.iter().filter(|city| !is_listed(city.id) && !is_same_city(city, listed)).count();
    let same = stored
        .iter()
        .find(|city| city.id == listed.id)
        .or_else(|| stored.iter().find(|city| is_same_city(city, listed)));
    let larger = stored.first().filter(|city| city.population > listed.population);
    let mut city = larger.or(same).unwrap_or(listed).clone();
    if larger.is_none() && city.country_code.is_none() {
        city.country_code.clone_from(&listed.country_code);
    }
    Some(CityMatch { city, candidates: listed_count + others })
}

fn is_listed(id: CityId) -> bool {
    gazetteer::builtin().by_id(id).is_some()
}

#[cfg(test)]
mod tests {
    use isobar_model::city::Coordinates;

    use super::*;

    fn city(id: i64, latitude: f64, population: Option<i64>) -> City {
        City {
            id: CityId(id),
            name: "Paris".to_owned(),
            country_code: None,
            admin1_code: None,
            coordinates: Coordinates::new(latitude, 2.35).expect("on the globe"),
            population,
        }
    }

    #[test]
    fn all_spellings_of_a_name_have_one_key() {
        let key = |query| CityQuery::read(&Params::from_query(query)).expect(query).key;
        assert_eq!(key("city=S%C3%A3o+Paulo"), key("city=SAO%20PAULO"));
        assert_eq!(key("city=Paris&country="), key("city=paris"));
        assert_ne!(key("city=Paris&country=us"), key("city=Paris"));
        assert_eq!(key("city=Paris&country=us"), key("city=Paris&country=US"));
    }

    #[test]
    fn invalid_names_and_countries_are_refused() {
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
            assert!(CityQuery::read(&Params::from_query(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn the_most_populous_city_wins() {
        let listed = city(2_988_507, 48.85, Some(2_000_000));
        let chosen = |stored: &[City]| choose(Some((&listed, 3)), stored).expect("one");
        assert_eq!(chosen(&[]).candidates, 3);

        let small = city(7, 33.6, Some(25_000));
        assert_eq!(chosen(std::slice::from_ref(&small)).city.id, listed.id);
        assert_eq!(chosen(&[small]).candidates, 4);

        let same = city(42, 48.9, None);
        assert_eq!(chosen(std::slice::from_ref(&same)).city.id, CityId(42));
        assert_eq!(chosen(&[same]).candidates, 3);

        let large = city(9, 10.0, Some(9_000_000));
        assert_eq!(chosen(&[large]).city.id, CityId(9));
    }

    #[test]
    fn a_stored_city_need_not_be_listed() {
        assert_eq!(choose(None, &[]), None);
        let only = city(-5, 1.0, None);
        let found = choose(None, std::slice::from_ref(&only)).expect("one");
        assert_eq!((found.city, found.candidates), (only, 1));
    }
}
