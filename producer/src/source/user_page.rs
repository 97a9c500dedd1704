//! One page of a list of users: from JSON to rows.
//!
//! The answer's shape says whose it is: an array is JSONPlaceholder's whole list, `users` with
//! `total` a page of DummyJSON, `items` with `total` a page of our own API. Pure: bytes in, rows and
//! a fingerprint out. The fingerprint is of what is kept of a user and of nothing else: DummyJSON's
//! pages hold card numbers.

use isobar_model::user::{items, profile};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::city_page::Page;
use super::row::{Row, Subject, Unusable};

pub fn parse(body: &[u8]) -> Result<Page, String> {
    // Not serde's own words: they would quote what they could not read.
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "the answer is no JSON".to_owned())?;
    let is_whole = answer.is_array();
    let is_page =
        ["users", "items"].iter().any(|name| answer.get(name).is_some_and(Value::is_array));
    if !is_whole && !is_page {
        return Err(
            "the answer is neither a list nor an object with \"users\" or \"items\"".to_owned()
        );
    }
    let rows: Vec<Row> = items(&answer).iter().map(row).collect();
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(format!("{row:?}\n"));
    }
    Ok(Page {
        rows,
        total_count: answer.get("total").and_then(Value::as_u64),
        is_whole,
        fingerprint: format!("{:x}", hash.finalize()),
    })
}

fn row(record: &Value) -> Row {
    match profile::read(record) {
        Ok(user) => Row::Task(Subject::User(Box::new(user))),
        Err(flaw) => {
            let id = record.get("external_id").or_else(|| record.get("id"));
            let called = id.and_then(Value::as_i64).map(|id| format!("user:{id}"));
            Row::Reject(Unusable::new(flaw.code, flaw.reason).called(called.as_deref()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Page {
        parse(body.as_bytes()).expect("a page")
    }

    #[test]
    fn the_shape_says_whether_there_may_be_more() {
        let user = r#"{"id":1,"name":"Ada","email":"ada@x.org"}"#;
        let whole = page(&format!("[{user}]"));
        assert_eq!((whole.is_whole, whole.total_count, whole.rows.len()), (true, None, 1));
        let dummy = page(&format!(r#"{{"users":[{user}],"total":208,"skip":0,"limit":1}}"#));
        assert_eq!((dummy.is_whole, dummy.total_count), (false, Some(208)));
        let ours = page(&format!(r#"{{"items":[{user}],"total":7,"limit":1,"offset":0}}"#));
        assert_eq!((ours.is_whole, ours.total_count), (false, Some(7)));
        for body in ["<html>", "{}", "7", r#"{"users":null}"#, "[{"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_bad_user_is_a_reject_of_its_own_and_nothing_of_a_card_is_kept() {
        let page = page(
            r#"[{"id":1,"name":"Ada","email":"x","bank":{"cardNumber":"3693233511855044"}},
                {"id":2,"name":"Bo","email":"bo@x.org","bank":{"cardNumber":"3693233511855044"}}]"#,
        );
        let Row::Reject(unusable) = &page.rows[0] else { panic!("rejected") };
        assert_eq!((unusable.code, unusable.city.as_deref()), ("bad_email", Some("user:1")));
        assert!(!format!("{page:?}").contains("3693"));
        let other_card = parse(
            br#"[{"id":1,"name":"Ada","email":"x"},{"id":2,"name":"Bo","email":"bo@x.org"}]"#,
        );
        assert_eq!(other_card.expect("a page").fingerprint, page.fingerprint);
    }
}
