//! Rows: what one row of a source means, a task or a reject with its reason. Pure.
//!
//! A page of the city service and a line of a file use the same functions. So both reject the same
//! input with the same codes. Names without coordinates are resolved in the built-in list here, in
//! the producer. A name that the list does not contain stays a name; the worker asks the geocoder.
//!
//! Does not: number rows, find duplicates or know jobs (see [`extract`](crate::extract)).

use std::borrow::Cow;

use isobar_model::city::{City, Coordinates, derived_city_id, derived_city_key, fold_name};
use isobar_model::country;
use isobar_model::gazetteer::builtin;
use isobar_model::ids::{CityId, UserId};
use isobar_model::pipeline::Enrichment;
use isobar_model::task::{MAX_FIELD_BYTES, SourceRecord, UserWork};
use isobar_model::user::User;

use super::header::KnownColumn;
use super::numbers::{Axis, coordinate, trim, whole};
use super::republished_task::RepublishedTask;
use super::shown::{quoted, shorten};

/// The length to which a reject shows the name in its row.
const SHOWN_CHARS: usize = 120;
/// The sign in place of a character that an earlier program lost.
const LOST: char = char::REPLACEMENT_CHARACTER;

/// A row with its number: from 1, over all pages, without the header.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow {
    pub number: u64,
    pub row: ParsedRow,
}

/// A row as text; `None` if the source has no such field or leaves it empty.
#[derive(Clone, Debug, Default)]
pub struct RawRow<'a> {
    pub city_id: Option<Cow<'a, str>>,
    /// `Some("")` is a blank name, which is a reject; `None` is an absent name.
    pub name: Option<Cow<'a, str>>,
    pub country: Option<Cow<'a, str>>,
    pub latitude: Option<Cow<'a, str>>,
    pub longitude: Option<Cow<'a, str>>,
    /// Further filled fields of the same meanings.
    pub more: Vec<(KnownColumn, Cow<'a, str>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ParsedRow {
    Task(RowSubject),
    Reject(RowError),
    /// Already a task, of the job that it came from.
    Republished(RepublishedTask),
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq)]
pub enum RowSubject {
    City(SourceCity),
    User(Box<User>),
    Incomplete(Enrichment, UserId),
}

/// A city as far as the source and the built-in list describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceCity {
    pub id: Option<CityId>,
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
}

/// Why a row is not a task: a stable code and a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    pub code: &'static str,
    pub reason: String,
    pub city: Option<String>,
    /// The text that cannot be used.
    pub value: Option<String>,
    /// The row as its file has it.
    pub record: Option<Box<SourceRecord>>,
}

impl RowError {
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), city: None, value: None, record: None }
    }

    /// The sentence ends with the text that cannot be used.
    pub fn showing(code: &'static str, reason: &str, value: &str) -> Self {
        let reason = format!("{reason}; it is {}", quoted(value));
        Self { value: Some(value.to_owned()), ..Self::new(code, reason) }
    }

    #[must_use]
    pub fn with_name(mut self, city: Option<&str>) -> Self {
        self.city = city
            .map(|name| shorten(trim(name), SHOWN_CHARS - 1))
            .filter(|name: &String| !name.is_empty());
        self
    }
}

impl RowSubject {
    /// Equal for duplicates.
    pub fn key(&self) -> String {
        match self {
            Self::City(city) => city.key(),
            Self::User(user) => format!("user:{}", user.external_id),
            Self::Incomplete(Enrichment::Address, id) => UserWork::Address(*id).key(),
            Self::Incomplete(Enrichment::Card, id) => UserWork::Card(*id).key(),
        }
    }
}

impl SourceCity {
    /// Equal for duplicates: the id, or name, country and coordinates.
    pub fn key(&self) -> String {
        match self.id {
            Some(id) => id.to_string(),
            None => derived_city_key(
                self.name.as_deref().unwrap_or_default(),
                self.country_code.as_deref(),
                self.coordinates,
            ),
        }
    }

    /// The id under which it is stored; `None` while its coordinates are unknown.
    pub fn stored_id(&self) -> Option<CityId> {
        self.id.or_else(|| {
            self.coordinates.map(|at| {
                derived_city_id(
                    self.name.as_deref().unwrap_or_default(),
                    self.country_code.as_deref(),
                    Some(at),
                )
            })
        })
    }

    pub fn from_gazetteer(city: &City) -> Self {
        Self {
            id: Some(city.id),
            name: Some(city.name.clone()),
            country_code: city.country_code.clone(),
            coordinates: Some(city.coordinates),
        }
    }
}

/// Decides what a row is.
pub fn decide(raw: &RawRow<'_>) -> ParsedRow {
    match city(raw) {
        Ok(city) => ParsedRow::Task(RowSubject::City(resolve(city))),
        Err(error) => ParsedRow::Reject(error.with_name(raw.name.as_deref())),
    }
}

fn city(raw: &RawRow<'_>) -> Result<SourceCity, RowError> {
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
            let reason = format!("{field} contains a NUL byte");
            return Err(RowError {
                value: Some(text.to_string()),
                ..RowError::new("nul_byte", reason)
            });
        }
    }
    let name = match raw.name.as_deref().map(trim) {
        Some("") => return Err(RowError::new("blank_name", "the name is blank")),
        Some(name) if name.contains(LOST) => {
            let reason = "the name has lost characters: save the file as UTF-8 from its source";
            return Err(RowError::showing("invalid_utf8", reason, name));
        }
        name => name.map(str::to_owned),
    };
    let id = non_empty(raw.city_id.as_ref()).map(city_id).transpose()?;
    for other in raw.others(KnownColumn::Id) {
        if Some(city_id(other)?) != id {
            let reason = "two columns give different numbers of the city";
            return Err(RowError::showing("bad_city_id", reason, other));
        }
    }
    let latitude = raw.coordinate(KnownColumn::Latitude)?;
    let longitude = raw.coordinate(KnownColumn::Longitude)?;
    let coordinates = match (latitude, longitude) {
        // Both are in range.
        (Some(latitude), Some(longitude)) => Coordinates::new(latitude, longitude).ok(),
        (None, None) => None,
        (Some(_), None) => {
            let reason = "there is a latitude but no longitude";
            return Err(RowError::new("missing_coordinate", reason));
        }
        (None, Some(_)) => {
            let reason = "there is a longitude but no latitude";
            return Err(RowError::new("missing_coordinate", reason));
        }
    };
    let country_code = match raw.country() {
        Ok(code) => code,
        // The position says where the city is.
        Err(_) if coordinates.is_some() => None,
        Err(error) => return Err(error),
    };
    let city = SourceCity { id, name, country_code, coordinates };
    match (&city.name, city.id, city.coordinates) {
        (Some(_), _, _) | (None, Some(_), Some(_)) => Ok(city),
        (None, Some(id), None) if builtin().by_id(id).is_some() => Ok(city),
        (None, Some(id), None) => Err(RowError::new(
            "missing_coordinate",
            format!(
                "city {id} has neither name nor coordinates, and it is not in the built-in list"
            ),
        )),
        (None, None, _) => {
            Err(RowError::new("blank_name", "there is neither a name nor a city_id"))
        }
    }
}

pub fn too_long(field: &str) -> RowError {
    RowError::new("field_too_long", format!("{field} is longer than {MAX_FIELD_BYTES} bytes"))
}

fn non_empty<'a>(field: Option<&'a Cow<'_, str>>) -> Option<&'a str> {
    field.map(|text| trim(text)).filter(|text| !text.is_empty())
}

fn city_id(text: &str) -> Result<CityId, RowError> {
    // Negative ids are derived here, for cities without an id in their source.
    match whole(text) {
        Some(id) if id > 0 => Ok(CityId(id)),
        _ => Err(RowError::showing(
            "bad_city_id",
            "city_id must be a whole number from 1 to 9223372036854775807, with all its digits",
            text,
        )),
    }
}

impl RawRow<'_> {
    /// Further filled fields of one meaning.
    fn others(&self, wanted: KnownColumn) -> impl Iterator<Item = &str> {
        let others = self.more.iter().filter(move |(column, _)| *column == wanted);
        others.map(|(_, text)| trim(text))
    }

    /// A coordinate. If several columns have it, they must agree.
    fn coordinate(&self, column: KnownColumn) -> Result<Option<f64>, RowError> {
        let (text, axis, code, range, differ) = if column == KnownColumn::Latitude {
            let range = "latitude must be a number from -90 to 90";
            let differ = "two columns give different latitudes";
            (&self.latitude, Axis::Latitude, "bad_latitude", range, differ)
        } else {
            let range = "longitude must be a number from -180 to 180";
            let differ = "two columns give different longitudes";
            (&self.longitude, Axis::Longitude, "bad_longitude", range, differ)
        };
        let read =
            |text: &str| coordinate(text, axis).ok_or_else(|| RowError::showing(code, range, text));
        let Some(text) = non_empty(text.as_ref()) else { return Ok(None) };
        let value = read(text)?;
        for other in self.others(column) {
            if (read(other)? - value).abs() > f64::EPSILON * 256.0 {
                let both = format!("{text} and {other}");
                return Err(RowError::showing(code, differ, &both));
            }
        }
        Ok(Some(value))
    }

    /// The country of the first column that names one. If several do, they must agree.
    fn country(&self) -> Result<Option<String>, RowError> {
        let Some(text) = non_empty(self.country.as_ref()) else { return Ok(None) };
        let mut found: Option<Cow<'static, str>> = None;
        for text in std::iter::once(text).chain(self.others(KnownColumn::Country)) {
            let Some(code) = country::country_code(text) else { continue };
            if found.as_ref().is_some_and(|found| *found != code) {
                let reason = format!(
                    "two columns name different countries, one of them {}",
                    found.unwrap_or_default()
                );
                return Err(RowError::showing("bad_country_code", &reason, text));
            }
            found = Some(code);
        }
        match found {
            Some(code) => Ok(Some(code.into_owned())),
            None => Err(RowError::showing(
                "bad_country_code",
                "the country must be a code of two or three letters or an English name, for example FR, FRA or France",
                text,
            )),
        }
    }
}

/// Completes a city without coordinates from the built-in list.
fn resolve(city: SourceCity) -> SourceCity {
    if city.coordinates.is_some() {
        return city;
    }
    let by_id = city.id.and_then(|id| builtin().by_id(id)).filter(|listed| {
        // The same id may mean another city in the source than in the list.
        city.name.as_deref().is_none_or(|name| fold_name(name) == fold_name(&listed.name))
    });
    let found = by_id.or_else(|| {
        let name = city.name.as_deref()?;
        let (listed, _) = builtin().by_name(name, city.country_code.as_deref())?;
        Some(listed)
    });
    match found {
        Some(listed) => SourceCity {
            id: city.id.or(Some(listed.id)),
            name: city.name.or_else(|| Some(listed.name.clone())),
            country_code: city.country_code.or_else(|| listed.country_code.clone()),
            coordinates: Some(listed.coordinates),
        },
        None => city,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw<'a>(
        id: &'a str,
        name: Option<&'a str>,
        country: &'a str,
        at: [&'a str; 2],
    ) -> RawRow<'a> {
        let field = |text: &'a str| Some(Cow::from(text)).filter(|text| !text.is_empty());
        RawRow {
            city_id: field(id),
            name: name.map(Cow::from),
            country: field(country),
            latitude: field(at[0]),
            longitude: field(at[1]),
            more: Vec::new(),
        }
    }

    fn code(raw: &RawRow<'_>) -> &'static str {
        match decide(raw) {
            ParsedRow::Task(_) | ParsedRow::Republished(_) => "task",
            ParsedRow::Reject(error) => error.code,
        }
    }

    #[test]
    fn each_unusable_row_has_its_code() {
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
            (raw("1", Some("x"), "Atlantis", here), "task"),
            (raw("1", Some("x"), "C4", ["", ""]), "bad_country_code"),
            (raw("1", Some("x"), "Atlantis", ["", ""]), "bad_country_code"),
            (raw("1", Some("x"), "France", ["", ""]), "task"),
            (raw("1,042", Some("x"), "", here), "bad_city_id"),
            (raw("1", Some("Z\u{fffd}rich"), "", here), "invalid_utf8"),
            (raw("1", Some("a\0b"), "", here), "nul_byte"),
            (raw("1", Some(&long), "", here), "field_too_long"),
        ] {
            assert_eq!(code(&row), expected, "{row:?}");
        }
    }

    fn city(row: &RawRow<'_>) -> SourceCity {
        match decide(row) {
            ParsedRow::Task(RowSubject::City(city)) => city,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bare_name_is_resolved_within_its_country() {
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
    fn a_source_id_never_means_another_city() {
        let own = city(&raw("2988507", Some("Tokyo"), "", ["", ""]));
        assert_eq!(own.id, Some(CityId(2_988_507)));
        let tokyo = builtin().by_name("Tokyo", None).expect("known").0;
        assert_eq!(own.coordinates, Some(tokyo.coordinates));
    }

    #[test]
    fn a_city_without_id_gets_one() {
        let hamlet = city(&raw("", Some("Hamlet"), "FR", ["1.5", "2.5"]));
        assert!(hamlet.stored_id().expect("numbered").0 < 0);
        assert_eq!(hamlet.key(), "hamlet|FR|1.5000,2.5000");
    }

    #[test]
    fn a_reject_shortens_a_long_name() {
        let long = "é".repeat(500);
        let ParsedRow::Reject(error) = decide(&raw("x", Some(&long), "", ["", ""])) else {
            panic!("rejected");
        };
        assert_eq!(error.city.expect("shown").chars().count(), SHOWN_CHARS);
    }
}
