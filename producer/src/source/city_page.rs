//! One page of a city service: from JSON to rows.
//!
//! Accepts `{"cities":[…]}` and a bare array, and the names that such services give their fields.
//! Pure: bytes in, rows and a fingerprint out. A row that makes no sense is a reject of its own;
//! only a page that is no list of cities at all is an error, which the caller retries.

use std::borrow::Cow;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::row::{Raw, Row, Unusable, decide};

/// What one answer of the service holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// How many rows the service says it has, in all.
    pub total_count: Option<u64>,
    /// There is nothing but this page, whatever is asked for.
    pub is_whole: bool,
    /// Equal for pages that hold the same rows.
    pub fingerprint: String,
}

pub fn parse(body: &[u8]) -> Result<Page, String> {
    let document: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let Some(cities) =
        document.as_array().or_else(|| document.get("cities").and_then(Value::as_array))
    else {
        return Err("the answer is neither a list nor an object with \"cities\"".to_owned());
    };
    let mut hash = Sha256::new();
    for city in cities {
        hash.update(city.to_string());
        hash.update(b"\n");
    }
    Ok(Page {
        rows: cities.iter().map(row).collect(),
        total_count: document.get("total_count").and_then(Value::as_u64),
        is_whole: false,
        fingerprint: format!("{:x}", hash.finalize()),
    })
}

fn row(city: &Value) -> Row {
    match city {
        Value::Object(fields) => decide(&raw(fields)),
        Value::String(name) => decide(&Raw { name: Some(Cow::Borrowed(name)), ..Raw::default() }),
        _ => Row::Reject(Unusable::new("bad_row", "the row is no object")),
    }
}

fn raw(fields: &Map<String, Value>) -> Raw<'_> {
    let first = |names: &[&str]| names.iter().find_map(|name| text(fields.get(*name)?));
    Raw {
        city_id: first(&["city_id", "id", "geoname_id"]),
        name: first(&["name", "city", "city_name"]),
        country: first(&["country_code", "country"]),
        latitude: first(&["latitude_deg", "latitude", "lat"]),
        longitude: first(&["longitude_deg", "longitude", "lon", "lng"]),
    }
}

/// A field as text. What is neither text nor a number becomes its JSON, which no check accepts.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Vec<String> {
        parse(body.as_bytes())
            .expect("a page")
            .rows
            .iter()
            .map(|row| match row {
                Row::Task(subject) => subject.key(),
                Row::Reject(unusable) => unusable.code.to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_spellings_of_one_city_are_the_same_row() {
        for city in [
            r#"{"city_id":7,"name":"X","country_code":"FR","latitude_deg":1.5,"longitude_deg":2}"#,
            r#"{"id":"7","city":"X","country":"fr","lat":"1.5","lon":"2"}"#,
            r#"{"id":7,"city_name":"X","latitude":1.5,"lng":2,"extra":[]}"#,
            r#"{"city_id":7,"name":null,"latitude_deg":1.5,"longitude_deg":2}"#,
        ] {
            assert_eq!(ids(&format!("[{city}]")), ["7"], "{city}");
            assert_eq!(ids(&format!(r#"{{"cities":[{city}],"total_count":9}}"#)), ["7"]);
        }
    }

    #[test]
    fn a_row_that_makes_no_sense_is_a_reject_and_the_others_stay() {
        assert_eq!(
            ids(r#"[{"id":1.5,"name":"X"},{"id":1,"name":" ","lat":0,"lon":0},3,
                 {"id":2,"name":"X","lat":true,"lon":0},{"id":3,"lat":0,"lon":0}]"#),
            ["bad_city_id", "blank_name", "bad_row", "bad_latitude", "3"]
        );
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for body in ["<html>", "{\"cities\":null}", "{}", "7", "{\"cities\":[{"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse(b"[]").expect("an empty page").rows.is_empty());
    }

    #[test]
    fn pages_with_the_same_rows_have_the_same_fingerprint() {
        let one = parse(br#"{"cities":[{"id":1}],"page":0}"#).expect("a page");
        let two = parse(br#"{"page":1,"cities":[{"id": 1}]}"#).expect("a page");
        let three = parse(br#"{"cities":[{"id":2}]}"#).expect("a page");
        assert_eq!(one.fingerprint, two.fingerprint);
        assert_ne!(one.fingerprint, three.fingerprint);
    }
}
