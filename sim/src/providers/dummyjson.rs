//! DummyJSON: `/users` lists 208 users with everything about them, including a bank card.
//!
//! `limit` (30 when absent, 0 means all) and `skip` page it, `select` names the fields to send; the
//! `limit` in an answer is the number of users in it. The card numbers look real: 15 or 16 digits
//! without separators, and they pass Luhn. A client must not keep them.
//!
//! A hundred requests in ten seconds are served, then it is 429 with `Retry-After`
//! ([`crate::request_window`]).
//! Does not: sort, search or delay.
//! Next: [`super::user_service`], the handler.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::user_service::{Draw, Page, UserService};
use crate::faults::Twist;
use crate::people::{self, Chance};
use crate::query::Query;

const DEFAULT_LIMIT: usize = 30;

/// Card type, the digits that its numbers begin with, and their length.
const CARDS: [(&str, &str, usize); 7] = [
    ("Mastercard", "53", 16),
    ("Discover", "6011", 16),
    ("American Express", "37", 15),
    ("Visa", "4", 16),
    ("UnionPay", "62", 16),
    ("Diners Club International", "369", 16),
    ("JCB", "3528", 16),
];

pub const USERS: UserService = UserService {
    total: 208,
    page,
    record: user,
    list,
    invalid_item: StatusCode::BAD_REQUEST,
    error: |status, message| {
        let usual = || match status.as_u16() {
            429 => "request limit exceeded, please wait a few seconds".to_owned(),
            _ => status.canonical_reason().unwrap_or("Error").to_owned(),
        };
        json!({ "message": message.unwrap_or_else(usual) })
    },
};

/// The card number of user number `index`.
pub fn card_number(index: usize, seed: u64) -> String {
    let mut chance = Chance::new(seed, "bank", index as u64);
    let (_, prefix, length) = chance.one_of(&CARDS);
    let mut digits = prefix.to_owned();
    let random = chance.digits(length - 1 - prefix.len());
    digits.push_str(&random);
    digits.push(luhn_check_digit(&digits));
    digits
}

fn page(query: &Query<'_>, twist: Twist) -> Result<Page, String> {
    let number = |name, default| {
        query.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| format!("Invalid '{name}' - must be a number"))
        })
    };
    let limit = match number("limit", DEFAULT_LIMIT)? {
        0 => USERS.total,
        limit => limit,
    };
    let skip = number("skip", 0)?;
    Ok(Page { skip, limit, shift_rows: twist.shift_rows, ..Page::default() })
}

/// The envelope. With `select`, each user has only the named fields and the id.
fn list(mut users: Vec<Value>, page: Page, query: &Query<'_>) -> Value {
    let wanted: Vec<&str> = query.list("select").collect();
    if !wanted.is_empty() {
        for fields in users.iter_mut().filter_map(Value::as_object_mut) {
            fields.retain(|name, _| name == "id" || wanted.contains(&name.as_str()));
        }
    }
    let count = users.len();
    json!({"users": users, "total": USERS.total, "skip": page.skip, "limit": count})
}

fn user(&Draw { seed, .. }: &Draw, index: usize) -> Value {
    let chance = &mut Chance::new(seed, "person", index as u64);
    let name = people::name(chance);
    let (first, last) = (people::plain(name.first), people::plain(name.last));
    let home = people::address(chance);
    let work = people::address(chance);
    let (card_type, ..) = Chance::new(seed, "bank", index as u64).one_of(&CARDS);
    let id = index + 1;
    json!({
        "id": id, "firstName": name.first, "lastName": name.last, "maidenName": "",
        "age": 18 + chance.below(50), "gender": chance.one_of(&["female", "male"]),
        // With its number, because two people of one name are two people.
        "email": format!("{first}.{last}{id}@x.dummyjson.com"),
        "phone": format!("+{} {}-{}-{}", 1 + chance.below(99), chance.digits(3), chance.digits(3),
            chance.digits(4)),
        "username": format!("{first}{}{id}", &last[..1]), "password": format!("{first}pass"),
        "birthDate": format!("{}-{}-{}", 1960 + chance.below(45), 1 + chance.below(12),
            1 + chance.below(28)),
        "image": format!("https://dummyjson.com/icon/{first}{id}/128"),
        "bloodGroup": chance.one_of(&["O-", "A+", "AB-", "B+"]),
        "height": 150 + chance.below(50), "weight": 45.5 + chance.below(60) as f64,
        "eyeColor": chance.one_of(&["Green", "Red", "Hazel", "Brown"]),
        "hair": {"color": "Brown", "type": chance.one_of(&["Curly", "Straight", "Wavy"])},
        "ip": format!("{}.{}.{}.{}", chance.below(256), chance.below(256), chance.below(256),
            chance.below(256)),
        "address": address(&home),
        "macAddress": "47:fa:41:18:ec:eb", "university": "University of Wisconsin--Madison",
        "bank": {
            "cardExpire": format!("{:02}/{:02}", 1 + chance.below(12), 28 + chance.below(5)),
            "cardNumber": card_number(index, seed), "cardType": card_type, "currency": "GBP",
            "iban": format!("GB{}", chance.digits(20)),
        },
        "company": {"department": "Engineering", "name": people::company(chance),
            "title": "Sales Manager", "address": address(&work)},
        "ein": format!("{}-{}", chance.digits(3), chance.digits(3)),
        "ssn": format!("{}-{}-{}", chance.digits(3), chance.digits(3), chance.digits(3)),
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
        "crypto": {"coin": "Bitcoin", "wallet": format!("0x{}", chance.digits(40)),
            "network": "Ethereum (ERC20)"},
        "role": chance.one_of(&["user", "moderator", "admin"]),
    })
}

fn address(address: &people::Address) -> Value {
    json!({
        "address": format!("{} {}", address.building_number, address.street), "city": address.city,
        "state": address.state, "stateCode": address.state_code,
        "postalCode": address.postal_code,
        "coordinates": {"lat": address.latitude, "lng": address.longitude},
        "country": "United States",
    })
}

fn luhn_check_digit(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 if digit > 4 => digit * 2 - 9,
            0 => digit * 2,
            _ => digit,
        })
        .sum();
    char::from(b'0' + ((10 - sum % 10) % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(item: Option<&str>, query: &str) -> Value {
        let reply = USERS.answer(item, &Query::parse(query, b""), &Draw::default());
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn page(query: &str) -> Value {
        answer(None, query)
    }

    #[test]
    fn pages_say_how_many_they_hold_and_end_empty() {
        let first = page("");
        assert_eq!(
            (&first["total"], &first["limit"], &first["skip"]),
            (&208.into(), &30.into(), &0.into())
        );
        let last = page("limit=100&skip=200");
        assert_eq!((&last["limit"], &last["users"][7]["id"]), (&8.into(), &208.into()));
        assert_eq!(page("skip=208")["users"], json!([]));
        assert_eq!(page("limit=0")["users"].as_array().unwrap().len(), 208);
    }

    #[test]
    fn every_card_number_passes_luhn_and_has_no_separators() {
        for index in 0..USERS.total {
            let number = card_number(index, 0);
            assert!(matches!(number.len(), 15 | 16), "{number}");
            let (digits, check) = number.split_at(number.len() - 1);
            assert_eq!(luhn_check_digit(digits).to_string(), check, "{number}");
        }
        assert_eq!(luhn_check_digit("7992739871"), '3');
        assert_eq!(page("")["users"][3]["bank"]["cardNumber"], card_number(3, 0));
    }

    #[test]
    fn no_two_users_share_an_address_of_mail_or_a_name_of_their_own() {
        let users = page("limit=0");
        for field in ["email", "username"] {
            let values: std::collections::BTreeSet<&str> = users["users"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user[field].as_str().unwrap())
                .collect();
            assert_eq!(values.len(), USERS.total, "{field}");
        }
    }

    #[test]
    fn selected_fields_come_with_the_id() {
        let some = page("limit=1&select=firstName,age");
        let fields: Vec<&String> = some["users"][0].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["age", "firstName", "id"]);
    }

    #[test]
    fn errors_are_sentences() {
        let message = |item| answer(item, "limit=x")["message"].clone();
        assert_eq!(message(None), "Invalid 'limit' - must be a number");
        assert_eq!(message(Some("999")), "User with id '999' not found");
        assert_eq!(message(Some("x")), "Invalid user id 'x'");
    }
}
