//! One page of a user service: reads JSON into rows. Pure.
//!
//! The shape of the answer identifies the service: an array is JSONPlaceholder's whole list, `users`
//! with `total` a page of DummyJSON, `items` with `total` a page of our own API.
//!
//! Guarantees: the fingerprint covers only the fields that are kept of a user, because DummyJSON's
//! pages contain card numbers.

use isobar_model::user::{profile, records};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::page::SourcePage;
use super::row::{ParsedRow, RowError, RowSubject};

pub fn parse(body: &[u8]) -> Result<SourcePage, String> {
    // Without serde's message, which would quote the text that it could not read.
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "the answer is not valid JSON".to_owned())?;
    let is_whole = answer.is_array();
    let is_page =
        ["users", "items"].iter().any(|name| answer.get(name).is_some_and(Value::is_array));
    if !is_whole && !is_page {
        return Err(
            "the answer is neither an array nor an object with \"users\" or \"items\"".to_owned()
        );
    }
    let rows: Vec<ParsedRow> = records(&answer).iter().map(row).collect();
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(format!("{row:?}\n"));
    }
    Ok(SourcePage {
        rows,
        total_count: answer.get("total").and_then(Value::as_u64),
        is_whole,
        fingerprint: format!("{:x}", hash.finalize()),
    })
}

fn row(record: &Value) -> ParsedRow {
    match profile::read(record) {
        Ok(user) => ParsedRow::Task(RowSubject::User(Box::new(user))),
        Err(invalid) => {
            let id = record.get("external_id").or_else(|| record.get("id"));
            let name = id.and_then(Value::as_i64).map(|id| format!("user:{id}"));
            ParsedRow::Reject(
                RowError::new(invalid.code, invalid.reason).with_name(name.as_deref()),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> SourcePage {
        parse(body.as_bytes()).expect("a page")
    }

    #[test]
    fn the_shape_decides_whether_more_pages_follow() {
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
    fn bad_users_are_rejects_without_card_numbers() {
        let page = page(
            r#"[{"id":1,"name":"Ada","email":"x","bank":{"cardNumber":"3693233511855044"}},
                {"id":2,"name":"Bo","email":"bo@x.org","bank":{"cardNumber":"3693233511855044"}}]"#,
        );
        let ParsedRow::Reject(error) = &page.rows[0] else { panic!("rejected") };
        assert_eq!((error.code, error.city.as_deref()), ("bad_email", Some("user:1")));
        assert!(!format!("{page:?}").contains("3693"));
        let other_card = parse(
            br#"[{"id":1,"name":"Ada","email":"x"},{"id":2,"name":"Bo","email":"bo@x.org"}]"#,
        );
        assert_eq!(other_card.expect("a page").fingerprint, page.fingerprint);
    }
}
