//! The shapes in which providers answer, and the fields in them.
//!
//! A bare object (one was asked for), an array (more were), or an object that wraps the list:
//! DummyJSON's `users`, our own `items`, the `data` of others. Pure; errors never quote the answer.

use std::borrow::Cow;

use serde_json::Value;

/// The names under which a list may be wrapped.
const WRAPPERS: [&str; 3] = ["users", "items", "data"];

/// The records of an answer; one that is no list and no record has none.
pub fn items(answer: &Value) -> &[Value] {
    let wrapped = WRAPPERS.iter().find_map(|name| answer.get(name)?.as_array());
    match (wrapped, answer) {
        (Some(list), _) | (None, Value::Array(list)) => list,
        (None, Value::Object(_)) => std::slice::from_ref(answer),
        (None, _) => &[],
    }
}

/// The part of a record that is named so, or the record itself.
pub fn part<'a>(record: &'a Value, name: &str) -> &'a Value {
    record.get(name).filter(|part| part.is_object()).unwrap_or(record)
}

/// The first of these fields that says something, as text.
pub fn text<'a>(record: &'a Value, names: &[&str]) -> Option<Cow<'a, str>> {
    names.iter().find_map(|name| match record.get(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text.trim())),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_is_an_object_more_are_a_list_and_a_list_may_be_wrapped() {
        let count = |answer: Value| items(&answer).len();
        assert_eq!(count(json!({"id": 1})), 1);
        assert_eq!(count(json!([{}, {}])), 2);
        assert_eq!(count(json!({"users": [{}, {}, {}], "total": 3})), 3);
        assert_eq!(count(json!({"items": [], "total": 0})), 0);
        assert_eq!(count(json!("busy")), 0);
    }
}
