//! random-data-api: random addresses and credit cards, under the paths of both versions.
//!
//! Guarantees: answer number *n* of an endpoint is a pure function of the seed and *n*. `size` 1 or
//! absent gives an object, more gives an array of at most 100.
//! Like the real service, it has unusable fields: ids repeat, zip codes and states contradict each
//! other, and three of the four card numbers fail the Luhn check.
//! Does not: fail by itself, although the real service is unstable (see [`crate::faults`]).
//! Next: [`super::user_service`], the handler.

use chrono::Days;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::user_service::{Page, RecordContext, UserService};
use crate::fake_users::{self, SeededRng};
use crate::faults::ResponseFault;
use crate::query::Query;

/// All card numbers of the service.
pub const CARD_NUMBERS: [&str; 4] =
    ["1234-2121-1221-1211", "1212-1221-1121-1234", "1211-1221-1234-2201", "1228-1221-1221-1431"];

pub const ADDRESSES: UserService = UserService {
    total: 100,
    page: |query, fault| Ok(page(query, fault)),
    record: address,
    list,
    invalid_item: StatusCode::NOT_FOUND,
    error: |status, _| {
        let reason = status.canonical_reason().unwrap_or("Error");
        json!({"status": status.as_u16(), "error": reason})
    },
};

pub const CARDS: UserService = UserService { record: card, ..ADDRESSES };

fn page(query: &Query<'_>, fault: ResponseFault) -> Page {
    let size = query.get("size").and_then(|text| text.parse().ok()).unwrap_or(1);
    let limit = usize::clamp(size, 1, ADDRESSES.total);
    Page { limit, missing_rows: fault.missing_rows, ..Page::default() }
}

/// An array, or an object if one record was requested.
fn list(mut records: Vec<Value>, page: Page, _: &Query<'_>) -> Value {
    match records.pop() {
        Some(only) if page.limit == 1 => only,
        last => {
            records.extend(last);
            records.into()
        }
    }
}

fn record_rng(context: &RecordContext, purpose: &str, index: usize) -> SeededRng {
    SeededRng::new(context.seed, purpose, context.nth * ADDRESSES.total as u64 + index as u64)
}

fn address(context: &RecordContext, index: usize) -> Value {
    let rng = &mut record_rng(context, "address", index);
    let one = fake_users::address(rng);
    let other = fake_users::address(rng);
    let city = (!context.fault.nulls).then_some(one.city);
    json!({
        "id": 1 + rng.below(9_999), "uid": uid(rng), "city": city, "street_name": one.street,
        "street_address": format!("{} {}", other.building_number, other.street),
        "secondary_address": format!("Suite {}", 1 + rng.below(999)),
        "building_number": one.building_number,
        "mail_box": format!("PO Box {}", 1 + rng.below(99)), "community": "Eagle Acres",
        "zip_code": format!("{}-{}", one.postal_code, rng.digits(4)),
        "zip": format!("{}-{}", other.postal_code, rng.digits(4)),
        "postcode": rng.digits(5), "time_zone": "Pacific/Pago_Pago", "street_suffix": "Pine",
        "city_suffix": "port", "city_prefix": "Lake", "state": one.state,
        "state_abbr": other.state_code, "country": one.country, "country_code": other.country_code,
        "latitude": one.latitude, "longitude": one.longitude,
        "full_address": format!("{} {}, {}, {} {}", other.building_number, other.street, other.city,
            other.state_code, other.postal_code),
    })
}

fn card(context: &RecordContext, index: usize) -> Value {
    let rng = &mut record_rng(context, "card", index);
    let id = 1 + rng.below(9_999);
    let uid = uid(rng);
    let number = rng.pick(&CARD_NUMBERS);
    let days = Days::new(365 * (1 + rng.below(4)));
    let expiry = context.now.date_naive() + days;
    json!({
        "id": id, "uid": uid, "credit_card_number": (!context.fault.nulls).then_some(number),
        "credit_card_expiry_date": expiry.to_string(),
        "credit_card_type": fake_users::card_type(rng),
    })
}

fn uid(rng: &mut SeededRng) -> String {
    let hex = |rng: &mut SeededRng, count: usize| {
        (0..count).map(|_| char::from(b"0123456789abcdef"[rng.below(16) as usize])).collect()
    };
    let parts: [String; 5] = [8, 4, 4, 4, 12].map(|count| hex(rng, count));
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(service: &UserService, query: &str, context: RecordContext) -> Value {
        let reply = service.answer(None, &Query::parse(query, b""), &context);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn addresses(query: &str, nth: u64) -> Value {
        drawn(&ADDRESSES, query, RecordContext { nth, ..RecordContext::default() })
    }

    fn cards(query: &str, missing_rows: usize) -> Value {
        let now = chrono::DateTime::from_timestamp(1_773_146_096, 0).unwrap();
        let fault = ResponseFault { missing_rows, ..ResponseFault::default() };
        drawn(&CARDS, query, RecordContext { now, fault, ..RecordContext::default() })
    }

    #[test]
    fn size_one_is_an_object() {
        assert!(addresses("", 0).is_object());
        assert!(addresses("size=1", 0).is_object());
        assert_eq!(cards("size=2", 0).as_array().unwrap().len(), 2);
        assert_eq!(cards("size=1000", 0).as_array().unwrap().len(), 100);
    }

    #[test]
    fn answers_depend_on_their_number() {
        assert_ne!(addresses("", 0), addresses("", 1));
        assert_eq!(addresses("size=3", 5), addresses("size=3", 5));
    }

    #[test]
    fn cards_have_known_numbers_and_expiry() {
        for card in cards("size=100", 0).as_array().unwrap() {
            let expiry = card["credit_card_expiry_date"].as_str().unwrap();
            assert!(("2027-03-10"..="2030-03-10").contains(&expiry), "{expiry}");
            assert!(CARD_NUMBERS.contains(&card["credit_card_number"].as_str().unwrap()));
        }
    }

    #[test]
    fn a_short_answer_is_an_array() {
        assert_eq!(cards("size=2", 1).as_array().unwrap().len(), 1);
        assert_eq!(cards("size=1", 1), json!([]));
    }
}
