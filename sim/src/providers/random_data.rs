//! random-data-api: addresses and credit cards, different in every answer, under old and new paths.
//!
//! `size` 1 or absent is a bare object, more is an array; above 100 it is 100. Ids are below 10,000
//! and repeat, so nothing in an answer names the same thing twice. Fields contradict each other
//! (three zip codes, a state code of another state), and there are only four card numbers, three
//! of which fail Luhn. Answer number *n* of an endpoint is a pure function of the seed and *n*.
//!
//! Does not: fail by itself, though the real service is unstable (see [`crate::faults`]).
//! Next: [`super::user_service`], the handler.

use chrono::Days;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::user_service::{Draw, Page, UserService};
use crate::faults::Twist;
use crate::people::{self, Chance};
use crate::query::Query;

/// All numbers that the service gives out.
pub const CARD_NUMBERS: [&str; 4] =
    ["1234-2121-1221-1211", "1212-1221-1121-1234", "1211-1221-1234-2201", "1228-1221-1221-1431"];

pub const ADDRESSES: UserService = UserService {
    total: 100,
    page: |query, twist| Ok(page(query, twist)),
    record: address,
    list,
    invalid_item: StatusCode::NOT_FOUND,
    error: |status, _| {
        let reason = status.canonical_reason().unwrap_or("Error");
        json!({"status": status.as_u16(), "error": reason})
    },
};

pub const CARDS: UserService = UserService { record: card, ..ADDRESSES };

fn page(query: &Query<'_>, twist: Twist) -> Page {
    let size = query.get("size").and_then(|text| text.parse().ok()).unwrap_or(1);
    let limit = usize::clamp(size, 1, ADDRESSES.total);
    Page { limit, missing_rows: twist.missing_rows, ..Page::default() }
}

/// An array, or the only record if one was asked for.
fn list(mut records: Vec<Value>, page: Page, _: &Query<'_>) -> Value {
    match records.pop() {
        Some(only) if page.limit == 1 => only,
        last => {
            records.extend(last);
            records.into()
        }
    }
}

fn chance(draw: &Draw, purpose: &str, index: usize) -> Chance {
    Chance::new(draw.seed, purpose, draw.nth * ADDRESSES.total as u64 + index as u64)
}

fn address(draw: &Draw, index: usize) -> Value {
    let chance = &mut chance(draw, "address", index);
    let one = people::address(chance);
    let other = people::address(chance);
    let city = (!draw.twist.nulls).then_some(one.city);
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

fn card(draw: &Draw, index: usize) -> Value {
    let chance = &mut chance(draw, "card", index);
    let id = 1 + chance.below(9_999);
    let uid = uid(chance);
    let number = chance.one_of(&CARD_NUMBERS);
    let days = Days::new(365 * (1 + chance.below(4)));
    let expiry = draw.now.date_naive() + days;
    json!({
        "id": id, "uid": uid, "credit_card_number": (!draw.twist.nulls).then_some(number),
        "credit_card_expiry_date": expiry.to_string(),
        "credit_card_type": people::card_type(chance),
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

    fn drawn(service: &UserService, query: &str, draw: Draw) -> Value {
        let reply = service.answer(None, &Query::parse(query, b""), &draw);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn addresses(query: &str, nth: u64) -> Value {
        drawn(&ADDRESSES, query, Draw { nth, ..Draw::default() })
    }

    fn cards(query: &str, missing_rows: usize) -> Value {
        let now = chrono::DateTime::from_timestamp(1_773_146_096, 0).unwrap();
        let twist = Twist { missing_rows, ..Twist::default() };
        drawn(&CARDS, query, Draw { now, twist, ..Draw::default() })
    }

    #[test]
    fn one_is_an_object_and_more_an_array() {
        assert!(addresses("", 0).is_object());
        assert!(addresses("size=1", 0).is_object());
        assert_eq!(cards("size=2", 0).as_array().unwrap().len(), 2);
        assert_eq!(cards("size=1000", 0).as_array().unwrap().len(), 100);
    }

    #[test]
    fn every_answer_is_another_and_the_same_number_the_same() {
        assert_ne!(addresses("", 0), addresses("", 1));
        assert_eq!(addresses("size=3", 5), addresses("size=3", 5));
    }

    #[test]
    fn cards_expire_in_one_to_four_years_and_have_known_numbers() {
        for card in cards("size=100", 0).as_array().unwrap() {
            let expiry = card["credit_card_expiry_date"].as_str().unwrap();
            assert!(("2027-03-10"..="2030-03-10").contains(&expiry), "{expiry}");
            assert!(CARD_NUMBERS.contains(&card["credit_card_number"].as_str().unwrap()));
        }
    }

    #[test]
    fn a_short_answer_is_still_an_array() {
        assert_eq!(cards("size=2", 1).as_array().unwrap().len(), 1);
        assert_eq!(cards("size=1", 1), json!([]));
    }
}
