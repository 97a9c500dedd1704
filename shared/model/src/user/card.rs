//! Cards without their numbers.
//!
//! Guarantees: [`read`] is the one place that sees a card number. It keeps the type, the last four
//! digits, the expiry and a keyed fingerprint, and drops the rest. No reason quotes the record. A
//! type that could contain a number is not kept either.

use chrono::{Datelike, Months, NaiveDate};
use serde_json::Value;

use super::fingerprint::FingerprintKey;
use super::invalid_record::InvalidRecord;
use super::provider_json::{section, text};

/// ISO/IEC 7812 allows up to 19 digits; real numbers have at least 12.
const DIGITS: std::ops::RangeInclusive<usize> = 12..=19;
const SHOWN_DIGITS: usize = 4;
const LONGEST_TYPE: usize = 40;
const UNKNOWN_TYPE: &str = "unknown";
/// A year of two digits is in this century.
const CENTURY: i32 = 2000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub last4: String,
    pub card_type: String,
    pub expiry_date: NaiveDate,
    pub fingerprint: String,
}

impl Card {
    /// The form that may be shown.
    pub fn masked(last4: &str) -> String {
        format!("**** **** **** {last4}")
    }
}

/// Reads one record of a provider: the card itself, or a user who has one.
pub fn read(record: &Value, key: &FingerprintKey, today: NaiveDate) -> Result<Card, InvalidRecord> {
    let record = section(record, "bank");
    let number = text(record, &["credit_card_number", "card_number", "cardNumber", "number"]);
    let digits = number.as_deref().and_then(digits).ok_or_else(|| {
        InvalidRecord::new("bad_card_number", "the card number must have 12 to 19 digits")
    })?;
    let expiry =
        text(record, &["credit_card_expiry_date", "expiry_date", "cardExpire", "expiration"]);
    let expiry_date = expiry.as_deref().and_then(date).ok_or_else(|| {
        InvalidRecord::new(
            "bad_expiry",
            "the expiry must be a date such as 2028-05-31 or a month such as 05/28",
        )
    })?;
    if expiry_date < today {
        return Err(InvalidRecord::new(
            "card_expired",
            format!("the card expired on {expiry_date}"),
        ));
    }
    let card_type = text(record, &["credit_card_type", "card_type", "cardType", "type"]);
    let is_a_type = |name: &&str| {
        name.len() <= LONGEST_TYPE
            && name.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '_' | '-'))
    };
    Ok(Card {
        last4: digits[digits.len() - SHOWN_DIGITS..].to_owned(),
        card_type: card_type.as_deref().filter(is_a_type).unwrap_or(UNKNOWN_TYPE).to_owned(),
        expiry_date,
        fingerprint: key.fingerprint(&digits),
    })
}

/// The digits of a number, which may be written in groups.
fn digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    (are_digits && DIGITS.contains(&digits.len())).then_some(digits)
}

/// A day, or the last day of a month.
fn date(text: &str) -> Option<NaiveDate> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return (date.year() < 10_000).then_some(date);
    }
    let (month, year) = text.split_once('/')?;
    let year: i32 = year.parse().ok()?;
    let year = if year < 100 { CENTURY + year } else { year };
    let first = NaiveDate::from_ymd_opt(year, month.parse().ok()?, 1)?;
    first.checked_add_months(Months::new(1))?.pred_opt().filter(|date| date.year() < 10_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn read_at_new_year(record: &Value) -> Result<Card, InvalidRecord> {
        read(record, &FingerprintKey::from_secret("a secret of some length"), day("2026-01-01"))
    }

    #[test]
    fn every_provider_shape_gives_the_same_card() {
        let random = json!({"id": 1, "credit_card_number": "1212-1221-1121-1234",
            "credit_card_expiry_date": "2028-05-31", "credit_card_type": "dankort"});
        let dummy = json!({"id": 3, "bank": {"cardNumber": "1212122111211234",
            "cardExpire": "05/28", "cardType": "dankort", "iban": "GB1"}});
        let card = read_at_new_year(&random).expect("a card");
        assert_eq!(read_at_new_year(&dummy), Ok(card.clone()));
        assert_eq!((card.last4.as_str(), card.expiry_date), ("1234", day("2028-05-31")));
        assert!(!format!("{card:?}").contains("1212"));
        let as_number = json!({"credit_card_number": 1_212_122_111_211_234_u64,
            "credit_card_expiry_date": "2028-05-31", "credit_card_type": "dankort"});
        assert_eq!(read_at_new_year(&as_number), Ok(card));
    }

    #[test]
    fn a_refusal_never_quotes_the_number() {
        let number = "4111 1111 1111 1111";
        for (record, code) in [
            (json!({"expiry_date": "2028-01-01"}), "bad_card_number"),
            (json!({"number": "41111111x1111111", "expiry_date": "2028-01-01"}), "bad_card_number"),
            (json!({"number": "41111111111", "expiry_date": "2028-01-01"}), "bad_card_number"),
            (json!({"number": number}), "bad_expiry"),
            (json!({"number": number, "expiry_date": number}), "bad_expiry"),
            (json!({"number": number, "expiry_date": "13/28"}), "bad_expiry"),
            (json!({"number": number, "expiry_date": "12/25"}), "card_expired"),
        ] {
            let flaw = read_at_new_year(&record).expect_err("refused");
            assert_eq!(flaw.code, code, "{record}");
            assert!(!flaw.reason.contains("1111"), "{}", flaw.reason);
        }
        let hidden = json!({"number": number, "expiry_date": "2028-01-01", "type": number});
        assert_eq!(read_at_new_year(&hidden).expect("a card").card_type, UNKNOWN_TYPE);
    }
}
