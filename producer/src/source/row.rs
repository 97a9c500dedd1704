//! What one source row means: a city to fetch, or a reason why it is none.
//!
//! Pure functions from text to [`Row`], the same for a page of the city service and a line of a
//! file, so that both reject the same things with the same codes. Names without coordinates are
//! resolved in the built-in list here, in the producer; what the list does not know goes on by
//! its name, and the worker asks the geocoder.
//!
//! Deliberately absent: row numbers, duplicates and jobs; see [`extract`](crate::extract).

use std::borrow::Cow;

use isobar_model::city::{Coordinates, Place, fold_name, unnumbered_city_id, unnumbered_city_key};
use isobar_model::gazetteer::builtin;
use isobar_model::ids::{CityId, UserId};
use isobar_model::pipeline::Enrichment;
use isobar_model::task::{Errand, MAX_FIELD_BYTES};
use isobar_model::user::User;

/// A reject shows this much of what the row called its city.
const SHOWN_CHARS: usize = 120;

/// A row as text; `None` where the source has no such field or says nothing in it.
#[derive(Clone, Debug, Default)]
pub struct Raw<'a> {
    pub city_id: Option<Cow<'a, str>>,
    /// `Some("")` is a name that is there and blank, which is a reject; `None` is no name at all.
    pub name: Option<Cow<'a, str>>,
    pub country: Option<Cow<'a, str>>,
    pub latitude: Option<Cow<'a, str>>,
    pub longitude: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Task(Subject),
    Reject(Unusable),
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    City(City),
    User(Box<User>),
    Lacks(Enrichment, UserId),
}

/// A city as far as source and built-in list know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct City {
    pub id: Option<CityId>,
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
}

/// Why a row is no task: a stable code and a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusable {
    pub code: &'static str,
    pub reason: String,
    pub city: Option<String>,
}

impl Unusable {
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), city: None }
    }

    #[must_use]
    pub fn called(mut self, city: Option<&str>) -> Self {
        self.city = city
            .map(|name| name.trim().chars().take(SHOWN_CHARS).collect())
            .filter(|name: &String| !name.is_empty());
        self
    }
}

impl Subject {
    /// What finds duplicates.
    pub fn key(&self) -> String {
        match self {
            Self::City(city) => city.key(),
            Self::User(user) => format!("user:{}", user.external_id),
            Self::Lacks(Enrichment::Address, id) => Errand::Address(*id).key(),
            Self::Lacks(Enrichment::Card, id) => Errand::Card(*id).key(),
        }
    }
}

impl City {
    /// What finds duplicates: the number, or what it is called and where.
    pub fn key(&self) -> String {
        match self.id {
            Some(id) => id.to_string(),
            None => unnumbered_city_key(
                self.name.as_deref().unwrap_or_default(),
                self.country_code.as_deref(),
                self.coordinates,
            ),
        }
    }

    /// The number under which it is stored; none while nobody knows where the city is.
    pub fn stored_id(&self) -> Option<CityId> {
        self.id.or_else(|| {
            self.coordinates.map(|at| {
                unnumbered_city_id(
                    self.name.as_deref().unwrap_or_default(),
                    self.country_code.as_deref(),
                    Some(at),
                )
            })
        })
    }

    pub fn listed(place: &Place) -> Self {
        Self {
            id: Some(place.id),
            name: Some(place.name.clone()),
            country_code: place.country_code.clone(),
            coordinates: Some(place.coordinates),
        }
    }
}

/// Decides what a row is.
pub fn decide(raw: &Raw<'_>) -> Row {
    match usable(raw) {
        Ok(city) => Row::Task(Subject::City(resolve(city))),
        Err(unusable) => Row::Reject(unusable.called(raw.name.as_deref())),
    }
}

fn usable(raw: &Raw<'_>) -> Result<City, Unusable> {
    for (field, text) in [
        ("city_id", &raw.city_id),
        ("name", &raw.name),
        ("country", &raw.country),
        ("latitude", &raw.latitude),
        ("longitude", &raw.longitude),
    ] {
        let Some(text) = text else { continue };
        if text.len() > MAX_FIELD_BYTES {
            return Err(too_long(field));
        }
        if text.contains('\0') {
            return Err(Unusable::new("nul_byte", format!("{field} holds a NUL byte")));
        }
    }
    let name = match raw.name.as_deref().map(str::trim) {
        Some("") => return Err(Unusable::new("blank_name", "the name is blank")),
        name => name.map(str::to_owned),
    };
    let id = said(raw.city_id.as_ref()).map(city_id).transpose()?;
    let country_code = said(raw.country.as_ref()).map(country_code).transpose()?;
    let coordinates = coordinates(said(raw.latitude.as_ref()), said(raw.longitude.as_ref()))?;
    let city = City { id, name, country_code, coordinates };
    match (&city.name, city.id, city.coordinates) {
        (Some(_), _, _) | (None, Some(_), Some(_)) => Ok(city),
        (None, Some(id), None) if builtin().by_id(id).is_some() => Ok(city),
        (None, Some(id), None) => Err(Unusable::new(
            "missing_coordinate",
            format!(
                "city {id} has neither name nor coordinates, and the built-in list does not know it"
            ),
        )),
        (None, None, _) => {
            Err(Unusable::new("blank_name", "there is neither a name nor a city_id"))
        }
    }
}

pub fn too_long(field: &str) -> Unusable {
    Unusable::new("field_too_long", format!("{field} is longer than {MAX_FIELD_BYTES} bytes"))
}

fn said<'a>(field: Option<&'a Cow<'_, str>>) -> Option<&'a str> {
    field.map(|text| &**text).map(str::trim).filter(|text| !text.is_empty())
}

fn city_id(text: &str) -> Result<CityId, Unusable> {
    // Negative numbers are ours: cities that their source does not number.
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(CityId(id)),
        _ => Err(Unusable::new(
            "bad_city_id",
            "city_id must be a whole number from 1 to 9223372036854775807",
        )),
    }
}

fn country_code(text: &str) -> Result<String, Unusable> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(Unusable::new("bad_country_code", "the country must be its code of two letters, as FR"))
    }
}

fn coordinates(
    latitude: Option<&str>,
    longitude: Option<&str>,
) -> Result<Option<Coordinates>, Unusable> {
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    // A bad half is named before a missing one: it is what the file's owner must mend.
    if let Some(text) = latitude
        && let Err(off) = Coordinates::new(number(text), 0.0)
    {
        return Err(Unusable::new("bad_latitude", off.to_string()));
    }
    if let Some(text) = longitude
        && let Err(off) = Coordinates::new(0.0, number(text))
    {
        return Err(Unusable::new("bad_longitude", off.to_string()));
    }
    match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => {
            Ok(Coordinates::new(number(latitude), number(longitude)).ok())
        }
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Unusable::new("missing_coordinate", "there is a latitude but no longitude"))
        }
        (None, Some(_)) => {
            Err(Unusable::new("missing_coordinate", "there is a longitude but no latitude"))
        }
    }
}

/// Adds what the built-in list knows to a city without coordinates.
fn resolve(city: City) -> City {
    if city.coordinates.is_some() {
        return city;
    }
    let by_id = city.id.and_then(|id| builtin().by_id(id)).filter(|place| {
        // A source's own numbers may happen to be someone else's in the list.
        city.name.as_deref().is_none_or(|name| fold_name(name) == fold_name(&place.name))
    });
    let found = by_id.or_else(|| {
        let name = city.name.as_deref()?;
        let (place, _) = builtin().by_name(name, city.country_code.as_deref())?;
        Some(place)
    });
    match found {
        Some(place) => City {
            id: city.id.or(Some(place.id)),
            name: city.name.or_else(|| Some(place.name.clone())),
            country_code: city.country_code.or_else(|| place.country_code.clone()),
            coordinates: Some(place.coordinates),
        },
        None => city,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw<'a>(id: &'a str, name: Option<&'a str>, country: &'a str, at: [&'a str; 2]) -> Raw<'a> {
        let field = |text: &'a str| Some(Cow::from(text)).filter(|text| !text.is_empty());
        Raw {
            city_id: field(id),
            name: name.map(Cow::from),
            country: field(country),
            latitude: field(at[0]),
            longitude: field(at[1]),
        }
    }

    fn code(raw: &Raw<'_>) -> &'static str {
        match decide(raw) {
            Row::Task(_) => "task",
            Row::Reject(unusable) => unusable.code,
        }
    }

    #[test]
    fn each_way_to_be_unusable_has_its_code() {
        let here = ["48.85", "2.35"];
        let long = "x".repeat(MAX_FIELD_BYTES + 1);
        for (row, expected) in [
            (raw("1", Some("Paris"), "FR", here), "task"),
            (raw("1", None, "", here), "task"),
            (raw("", Some("Paris"), "", ["", ""]), "task"),
            (raw("2988507", None, "", ["", ""]), "task"),
            (raw("1", Some(" "), "FR", here), "blank_name"),
            (raw("", None, "FR", here), "blank_name"),
            (raw("1", Some("x"), "", ["91", "0"]), "bad_latitude"),
            (raw("1", Some("x"), "", ["NaN", "0"]), "bad_latitude"),
            (raw("1", Some("x"), "", ["north", ""]), "bad_latitude"),
            (raw("1", Some("x"), "", ["0", "inf"]), "bad_longitude"),
            (raw("1", Some("x"), "", ["0", "-180.5"]), "bad_longitude"),
            (raw("1", Some("x"), "", ["0", ""]), "missing_coordinate"),
            (raw("1", Some("x"), "", ["", "0"]), "missing_coordinate"),
            (raw("1", None, "", ["", ""]), "missing_coordinate"),
            (raw("26A5", Some("x"), "", here), "bad_city_id"),
            (raw("-4", Some("x"), "", here), "bad_city_id"),
            (raw("99999999999999999999", Some("x"), "", here), "bad_city_id"),
            (raw("1", Some("x"), "C4", here), "bad_country_code"),
            (raw("1", Some("x"), "France", here), "bad_country_code"),
            (raw("1", Some("a\0b"), "", here), "nul_byte"),
            (raw("1", Some(&long), "", here), "field_too_long"),
        ] {
            assert_eq!(code(&row), expected, "{row:?}");
        }
    }

    fn city(row: &Raw<'_>) -> City {
        match decide(row) {
            Row::Task(Subject::City(city)) => city,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_without_coordinates_is_found_in_the_list_and_the_country_narrows_it() {
        let paris = city(&raw("", Some("paris"), "", ["", ""]));
        assert_eq!(paris.id, Some(CityId(2_988_507)));
        assert_eq!(paris.country_code.as_deref(), Some("FR"));
        let texan = city(&raw("", Some("Paris"), "us", ["", ""]));
        assert_ne!(texan.id, paris.id);
        let unknown = city(&raw("", Some("Nowhereville"), "", ["", ""]));
        assert_eq!((unknown.coordinates, unknown.stored_id()), (None, None));
        assert_eq!(unknown.key(), "nowhereville|");
    }

    #[test]
    fn a_number_of_the_sources_own_is_kept_and_never_taken_for_another_city() {
        let own = city(&raw("2988507", Some("Tokyo"), "", ["", ""]));
        assert_eq!(own.id, Some(CityId(2_988_507)));
        let tokyo = builtin().by_name("Tokyo", None).expect("known").0;
        assert_eq!(own.coordinates, Some(tokyo.coordinates));
    }

    #[test]
    fn a_city_without_a_number_gets_one_from_its_name_and_place() {
        let hamlet = city(&raw("", Some("Hamlet"), "FR", ["1.5", "2.5"]));
        assert!(hamlet.stored_id().expect("numbered").0 < 0);
        assert_eq!(hamlet.key(), "hamlet|FR|1.5000,2.5000");
    }

    #[test]
    fn a_reject_shows_no_more_of_a_name_than_fits_a_line() {
        let long = "é".repeat(500);
        let Row::Reject(unusable) = decide(&raw("x", Some(&long), "", ["", ""])) else {
            panic!("rejected");
        };
        assert_eq!(unusable.city.expect("shown").chars().count(), SHOWN_CHARS);
    }
}
