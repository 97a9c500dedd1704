//! DummyJSON: `/users` lists 208 users with many fields, including a bank card.
//!
//! Guarantees: `limit` (30 if absent, 0 for all) and `skip` select a page, `select` names the
//! fields. The `limit` in an answer is the number of its users. Card numbers look real: 15 or 16
//! digits without separators that pass the Luhn check. Clients must not keep them.
//! Above a hundred requests in ten seconds it answers 429 ([`crate::request_window`]).
//! Does not: sort, search or delay.
//! Next: [`super::user_service`], the handler.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::user_service::{Page, RecordContext, UserService};
use crate::fake_users::{self, SeededRng};
use crate::faults::ResponseFault;
use crate::query::Query;

const DEFAULT_LIMIT: usize = 30;

/// Card type, first digits and length of a number.
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

/// The card number of the user at `index`.
pub fn card_number(index: usize, seed: u64) -> String {
    let mut rng = SeededRng::new(seed, "bank", index as u64);
    let (_, prefix, length) = rng.pick(&CARDS);
    let mut digits = prefix.to_owned();
    let random = rng.digits(length - 1 - prefix.len());
    digits.push_str(&random);
    digits.push(luhn_check_digit(&digits));
    digits
}

fn page(query: &Query<'_>, fault: ResponseFault) -> Result<Page, String> {
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
    Ok(Page { skip, limit, shift_rows: fault.shift_rows, ..Page::default() })
}

/// The envelope. With `select`, a user has only the named fields and the id.
fn list(mut users: Vec<Value>, page: Page, query: &Query<'_>) -> Value {
    let selected: Vec<&str> = query.list("select").collect();
    if !selected.is_empty() {
        for fields in users.iter_mut().filter_map(Value::as_object_mut) {
            fields.retain(|name, _| name == "id" || selected.contains(&name.as_str()));
        }
    }
    let count = users.len();
    json!({"users": users, "total": USERS.total, "skip": page.skip, "limit": count})
}

fn user(&RecordContext { seed, .. }: &RecordContext, index: usize) -> Value {
    let rng = &mut SeededRng::new(seed, "person", index as u64);
    let name = fake_users::name(rng);
    let (first, last) =
        (fake_users::ascii_letters(name.first), fake_users::ascii_letters(name.last));
    let home = fake_users::address(rng);
    let work = fake_users::address(rng);
    let (card_type, ..) = SeededRng::new(seed, "bank", index as u64).pick(&CARDS);
    let id = index + 1;
    json!({
        "id": id, "firstName": name.first, "lastName": name.last, "maidenName": "",
        "age": 18 + rng.below(50), "gender": rng.pick(&["female", "male"]),
        // Contains the id, because two users can have the same name.
        "email": format!("{first}.{last}{id}@x.dummyjson.com"),
        "phone": format!("+{} {}-{}-{}", 1 + rng.below(99), rng.digits(3), rng.digits(3),
            rng.digits(4)),
        "username": format!("{first}{}{id}", &last[..1]), "password": format!("{first}pass"),
        "birthDate": format!("{}-{}-{}", 1960 + rng.below(45), 1 + rng.below(12),
            1 + rng.below(28)),
        "image": format!("https://dummyjson.com/icon/{first}{id}/128"),
        "bloodGroup": rng.pick(&["O-", "A+", "AB-", "B+"]),
        "height": 150 + rng.below(50), "weight": 45.5 + rng.below(60) as f64,
        "eyeColor": rng.pick(&["Green", "Red", "Hazel", "Brown"]),
        "hair": {"color": "Brown", "type": rng.pick(&["Curly", "Straight", "Wavy"])},
        "ip": format!("{}.{}.{}.{}", rng.below(256), rng.below(256), rng.below(256),
            rng.below(256)),
        "address": address(&home),
        "macAddress": "47:fa:41:18:ec:eb", "university": "University of Wisconsin--Madison",
        "bank": {
            "cardExpire": format!("{:02}/{:02}", 1 + rng.below(12), 28 + rng.below(5)),
            "cardNumber": card_number(index, seed), "cardType": card_type, "currency": "GBP",
            "iban": format!("GB{}", rng.digits(20)),
        },
        "company": {"department": "Engineering", "name": fake_users::company_name(rng),
            "title": "Sales Manager", "address": address(&work)},
        "ein": format!("{}-{}", rng.digits(3), rng.digits(3)),
        "ssn": format!("{}-{}-{}", rng.digits(3), rng.digits(3), rng.digits(3)),
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
        "crypto": {"coin": "Bitcoin", "wallet": format!("0x{}", rng.digits(40)),
            "network": "Ethereum (ERC20)"},
        "role": rng.pick(&["user", "moderator", "admin"]),
    })
}

fn address(address: &fake_users::Address) -> Value {
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
        let reply = USERS.answer(item, &Query::parse(query, b""), &RecordContext::default());
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn page(query: &str) -> Value {
        answer(None, query)
    }

    #[test]
    fn limit_is_the_number_of_users_returned() {
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
    fn card_numbers_look_real() {
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
    fn mail_addresses_and_user_names_are_unique() {
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
    fn selected_fields_include_the_id() {
        let some = page("limit=1&select=firstName,age");
        let fields: Vec<&String> = some["users"][0].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["age", "firstName", "id"]);
    }

    #[test]
    fn errors_have_a_message() {
        let message = |item| answer(item, "limit=x")["message"].clone();
        assert_eq!(message(None), "Invalid 'limit' - must be a number");
        assert_eq!(message(Some("999")), "User with id '999' not found");
        assert_eq!(message(Some("x")), "Invalid user id 'x'");
    }
}
