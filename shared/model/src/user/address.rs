//! Addresses, read from every shape in which a provider answers.
//!
//! The provider's own numbers are not ids (random-data-api repeats them), so an address belongs to
//! the user it was fetched for. Fields of one answer may contradict each other (Kansas, RI);
//! they are stored as they come.

use std::borrow::Cow;

use serde_json::Value;

use super::invalid_record::{InvalidRecord, check_length};
use super::provider_json::{section, text};

const LONGEST: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub street_number: Option<String>,
    pub street_name: String,
    pub city: String,
    pub state: Option<String>,
    pub country: Option<String>,
    pub postal_code: Option<String>,
}

/// Reads one record of a provider: the address itself, or a user who has one.
pub fn read(record: &Value) -> Result<Address, InvalidRecord> {
    let record = section(record, "address");
    let field = |names: &[&str]| text(record, names).map(Cow::into_owned);
    let whole_street = field(&["address"]);
    let (number, street) = match whole_street.as_deref().and_then(|line| line.split_once(' ')) {
        Some((number, street)) if number.starts_with(|c: char| c.is_ascii_digit()) => {
            (Some(number.to_owned()), Some(street.to_owned()))
        }
        _ => (None, whole_street),
    };
    let missing =
        |what: &str| InvalidRecord::new("bad_address", format!("the address has no {what}"));
    let address = Address {
        street_number: field(&["street_number", "building_number", "buildingNumber"]).or(number),
        street_name: field(&["street_name", "streetName", "street"])
            .or(street)
            .ok_or_else(|| missing("street"))?,
        city: field(&["city"]).ok_or_else(|| missing("city"))?,
        state: field(&["state"]),
        country: field(&["country"]),
        postal_code: field(&[
            "postcode",
            "postal_code",
            "postalCode",
            "zip_code",
            "zip",
            "zipcode",
        ]),
    };
    let texts = [
        ("street number", address.street_number.as_deref()),
        ("street", Some(address.street_name.as_str())),
        ("city", Some(address.city.as_str())),
        ("state", address.state.as_deref()),
        ("country", address.country.as_deref()),
        ("postal code", address.postal_code.as_deref()),
    ];
    for (field, text) in texts {
        check_length(field, text.unwrap_or_default(), LONGEST)?;
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_provider_shape_gives_the_same_address() {
        let random = json!({"id": 5099, "city": "Ely", "street_name": "Ewa Mission",
            "street_address": "648 Fay Turnpike", "building_number": "3370",
            "zip_code": "72471-4234", "zip": "57646-3386", "postcode": "03267", "state": "Kansas",
            "country": "Qatar", "latitude": -61.6});
        let expected = Address {
            street_number: Some("3370".into()),
            street_name: "Ewa Mission".into(),
            city: "Ely".into(),
            state: Some("Kansas".into()),
            country: Some("Qatar".into()),
            postal_code: Some("03267".into()),
        };
        assert_eq!(read(&random), Ok(expected.clone()));
        let dummy = json!({"id": 1, "address": {"address": "3370 Ewa Mission", "city": "Ely",
            "state": "Kansas", "stateCode": "KS", "postalCode": "03267", "country": "Qatar"}});
        assert_eq!(read(&dummy), Ok(expected));
    }

    #[test]
    fn an_address_needs_a_street_and_a_city() {
        for record in [json!({}), json!({"city": "Ely"}), json!({"street_name": "X"}), json!(7)] {
            assert_eq!(read(&record).expect_err("refused").code, "bad_address", "{record}");
        }
        let long = json!({"city": "x".repeat(LONGEST + 1), "street": "X"});
        assert_eq!(read(&long).expect_err("refused").code, "field_too_long");
    }
}
