//! random-data-api: addresses and credit cards, every answer another, in both versions of its paths.
//!
//! `size` 1 or absent is a bare object, more is an array; above 100 it is 100. Ids are below 10,000
//! and come again, so nothing in an answer names the same thing twice. Fields contradict each other (three
//! zip codes, a state code of another state), and there are only four card numbers, three of which
//! fail Luhn. Answer number *n* of an endpoint is a pure function of the seed and *n*.
//!
//! The service is unstable in practice; here that is the fault plan's business.

use chrono::{DateTime, Days, Utc};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Twist;
use crate::people::{self, Chance};
use crate::query::Query;
use crate::reply::Reply;

/// All numbers that the service gives out.
pub const CARD_NUMBERS: [&str; 4] =
    ["1234-2121-1221-1211", "1212-1221-1121-1234", "1211-1221-1234-2201", "1228-1221-1221-1431"];

const CARD_TYPES: [&str; 12] = [
    "visa",
    "mastercard",
    "american_express",
    "discover",
    "diners_club",
    "jcb",
    "switch",
    "solo",
    "dankort",
    "maestro",
    "forbrugsforeningen",
    "laser",
];

const MAX_SIZE: usize = 100;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Address,
    Card,
}

/// One answer: `nth` is how many this endpoint gave before.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    pub kind: Kind,
    pub seed: u64,
    pub nth: u64,
    pub now: DateTime<Utc>,
    pub twist: Twist,
}

pub fn answer(query: &Query<'_>, draw: Draw) -> Reply {
    let size = query.get("size").and_then(|text| text.parse().ok()).unwrap_or(1);
    let size = usize::clamp(size, 1, MAX_SIZE);
    let count = size.saturating_sub(draw.twist.missing_rows);
    let mut records: Vec<Value> = (0..count).map(|at| record(draw, at)).collect();
    let body = match (size, records.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            records.extend(last);
            Value::from(records)
        }
    };
    Reply::ok(body.to_string()).with_locations(count)
}

/// What it sends with an error status.
pub fn usual_error(status: StatusCode) -> Reply {
    let reason = status.canonical_reason().unwrap_or("Error");
    Reply::json(status, json!({"status": status.as_u16(), "error": reason}).to_string())
}

fn record(draw: Draw, at: usize) -> Value {
    let number = draw.nth * MAX_SIZE as u64 + at as u64;
    match draw.kind {
        Kind::Address => address(&mut Chance::new(draw.seed, "address", number), draw.twist),
        Kind::Card => card(&mut Chance::new(draw.seed, "card", number), draw),
    }
}

fn address(chance: &mut Chance, twist: Twist) -> Value {
    let one = people::address(chance);
    let other = people::address(chance);
    let city = (!twist.nulls).then_some(one.city);
    json!({
        "id": 1 + chance.below(9_999), "uid": uid(chance), "city": city, "street_name": one.street,
        "street_address": format!("{} {}", other.building_number, other.street),
        "secondary_address": format!("Suite {}", 1 + chance.below(999)),
        "building_number": one.building_number,
        "mail_box": format!("PO Box {}", 1 + chance.below(99)), "community": "Eagle Acres",
        "zip_code": format!("{}-{}", one.postal_code, chance.digits(4)),
        "zip": format!("{}-{}", other.postal_code, chance.digits(4)),
        "postcode": chance.digits(5), "time_zone": "Pacific/Pago_Pago", "street_suffix": "Pine",
        "city_suffix": "port", "city_prefix": "Lake", "state": one.state,
        "state_abbr": other.state_code, "country": one.country, "country_code": other.country_code,
        "latitude": one.latitude, "longitude": one.longitude,
        "full_address": format!("{} {}, {}, {} {}", other.building_number, other.street, other.city,
            other.state_code, other.postal_code),
    })
}

fn card(chance: &mut Chance, draw: Draw) -> Value {
    let id = 1 + chance.below(9_999);
    let uid = uid(chance);
    let number = chance.one_of(&CARD_NUMBERS);
    let days = Days::new(365 * (1 + chance.below(4)));
    let expiry = draw.now.date_naive() + days;
    json!({
        "id": id, "uid": uid, "credit_card_number": (!draw.twist.nulls).then_some(number),
        "credit_card_expiry_date": expiry.to_string(),
        "credit_card_type": chance.one_of(&CARD_TYPES),
    })
}

fn uid(chance: &mut Chance) -> String {
    let hex = |chance: &mut Chance, count: usize| {
        (0..count).map(|_| char::from(b"0123456789abcdef"[chance.below(16) as usize])).collect()
    };
    let parts: [String; 5] = [8, 4, 4, 4, 12].map(|count| hex(chance, count));
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Kind, query: &str, nth: u64) -> Value {
        let now = DateTime::from_timestamp(1_773_146_096, 0).unwrap();
        let draw = Draw { kind, seed: 0, nth, now, twist: Twist::default() };
        serde_json::from_slice(&answer(&Query::parse(query, b""), draw).body).unwrap()
    }

    #[test]
    fn one_is_an_object_and_more_an_array() {
        assert!(drawn(Kind::Address, "", 0).is_object());
        assert!(drawn(Kind::Address, "size=1", 0).is_object());
        assert_eq!(drawn(Kind::Card, "size=2", 0).as_array().unwrap().len(), 2);
        assert_eq!(drawn(Kind::Card, "size=1000", 0).as_array().unwrap().len(), 100);
    }

    #[test]
    fn every_answer_is_another_and_the_same_number_the_same() {
        assert_ne!(drawn(Kind::Address, "", 0), drawn(Kind::Address, "", 1));
        assert_eq!(drawn(Kind::Address, "size=3", 5), drawn(Kind::Address, "size=3", 5));
    }

    #[test]
    fn cards_expire_in_one_to_four_years_and_have_known_numbers() {
        for card in drawn(Kind::Card, "size=100", 0).as_array().unwrap() {
            let expiry = card["credit_card_expiry_date"].as_str().unwrap();
            assert!(("2027-03-10"..="2030-03-10").contains(&expiry), "{expiry}");
            assert!(CARD_NUMBERS.contains(&card["credit_card_number"].as_str().unwrap()));
        }
    }

    #[test]
    fn a_short_answer_is_still_an_array() {
        let draw = Draw {
            kind: Kind::Card,
            seed: 0,
            nth: 0,
            now: DateTime::UNIX_EPOCH,
            twist: Twist { missing_rows: 1, ..Twist::default() },
        };
        let answered = |query| {
            let body = answer(&Query::parse(query, b""), draw).body;
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        assert_eq!(answered("size=2").as_array().unwrap().len(), 1);
        assert_eq!(answered("size=1"), json!([]));
    }
}
