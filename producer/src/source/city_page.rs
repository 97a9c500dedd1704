//! One page of a city service: reads JSON into rows. Pure.
//!
//! Accepts `{"cities":[…]}` and a bare array, with the field names that such services use. An
//! unusable row becomes a reject and the other rows stay. A page that is not a list of cities is an
//! error, which the caller retries.

use std::borrow::Cow;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::page::SourcePage;
use super::row::{ParsedRow, RawRow, RowError, decide};

/// Above this, two whole numbers may have one double.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub fn parse(body: &[u8]) -> Result<SourcePage, String> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not valid JSON: {error}"))?;
    let Some(cities) =
        document.as_array().or_else(|| document.get("cities").and_then(Value::as_array))
    else {
        return Err("the answer is neither an array nor an object with \"cities\"".to_owned());
    };
    let mut hash = Sha256::new();
    for city in cities {
        hash.update(city.to_string());
        hash.update(b"\n");
    }
    Ok(SourcePage {
        rows: cities.iter().map(row).collect(),
        total_count: document.get("total_count").and_then(Value::as_u64),
        is_whole: false,
        fingerprint: format!("{:x}", hash.finalize()),
    })
}

fn row(city: &Value) -> ParsedRow {
    match city {
        Value::Object(fields) => decide(&raw(fields)),
        Value::String(name) => {
            decide(&RawRow { name: Some(Cow::Borrowed(name)), ..RawRow::default() })
        }
        _ => ParsedRow::Reject(RowError::new("bad_row", "the row is not an object")),
    }
}

fn raw(fields: &Map<String, Value>) -> RawRow<'_> {
    let first = |names: &[&str]| names.iter().find_map(|name| text(fields.get(*name)?));
    RawRow {
        city_id: first(&["city_id", "id", "geoname_id"]),
        name: first(&["name", "city", "city_name"]),
        country: first(&["country_code", "country"]),
        latitude: first(&["latitude_deg", "latitude", "lat"]),
        longitude: first(&["longitude_deg", "longitude", "lon", "lng"]),
        more: Vec::new(),
    }
}

/// A field as text. A value that is neither text nor a number becomes JSON, which no check accepts.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        // 2988507.0 and 2.988507E6 are the number 2988507.
        Value::Number(number) => Some(Cow::Owned(match number.as_f64() {
            Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() < MAX_EXACT => {
                format!("{whole:.0}")
            }
            _ => number.to_string(),
        })),
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
                ParsedRow::Task(subject) => subject.key(),
                ParsedRow::Reject(error) => error.code.to_owned(),
                ParsedRow::Republished(task) => panic!("{task:?}"),
            })
            .collect()
    }

    #[test]
    fn field_names_of_all_services_are_read() {
        for city in [
            r#"{"city_id":7,"name":"X","country_code":"FR","latitude_deg":1.5,"longitude_deg":2}"#,
            r#"{"id":"7","city":"X","country":"fr","lat":"1.5","lon":"2"}"#,
            r#"{"id":7,"city_name":"X","latitude":1.5,"lng":2,"extra":[]}"#,
            r#"{"city_id":7.0,"name":"\u0058","latitude_deg":15E-1,"longitude_deg":2.0}"#,
            r#"{"city_id":7,"name":null,"latitude_deg":1.5,"longitude_deg":2}"#,
        ] {
            assert_eq!(ids(&format!("[{city}]")), ["7"], "{city}");
            assert_eq!(ids(&format!(r#"{{"cities":[{city}],"total_count":9}}"#)), ["7"]);
        }
    }

    #[test]
    fn an_unusable_row_is_only_a_reject() {
        assert_eq!(
            ids(r#"[{"id":1.5,"name":"X"},{"id":1,"name":" ","lat":0,"lon":0},3,
                 {"id":2,"name":"X","lat":true,"lon":0},{"id":3,"lat":0,"lon":0}]"#),
            ["bad_city_id", "blank_name", "bad_row", "bad_latitude", "3"]
        );
    }

    #[test]
    fn other_documents_are_errors() {
        for body in ["<html>", "{\"cities\":null}", "{}", "7", "{\"cities\":[{"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse(b"[]").expect("an empty page").rows.is_empty());
    }

    #[test]
    fn equal_rows_have_equal_fingerprints() {
        let one = parse(br#"{"cities":[{"id":1}],"page":0}"#).expect("a page");
        let two = parse(br#"{"page":1,"cities":[{"id": 1}]}"#).expect("a page");
        let three = parse(br#"{"cities":[{"id":2}]}"#).expect("a page");
        assert_eq!(one.fingerprint, two.fingerprint);
        assert_ne!(one.fingerprint, three.fingerprint);
    }
}
