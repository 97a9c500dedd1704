//! Provider JSON: the shapes of responses, and the fields in them.
//!
//! A response is an object (one record), an array (several), or an object that wraps the list:
//! DummyJSON's `users`, our own `items`, the `data` of others. Errors never quote a response.

use std::borrow::Cow;

use serde_json::Value;

/// The names under which a list may be wrapped.
const WRAPPERS: [&str; 3] = ["users", "items", "data"];

/// The records of a response; empty for a response that is neither a list nor an object.
pub fn records(response: &Value) -> &[Value] {
    let wrapped = WRAPPERS.iter().find_map(|name| response.get(name)?.as_array());
    match (wrapped, response) {
        (Some(list), _) | (None, Value::Array(list)) => list,
        (None, Value::Object(_)) => std::slice::from_ref(response),
        (None, _) => &[],
    }
}

/// The object of this name within a record, or the record itself.
pub(super) fn section<'a>(record: &'a Value, name: &str) -> &'a Value {
    record.get(name).filter(|section| section.is_object()).unwrap_or(record)
}

/// The first of these fields that is not blank, as text.
pub(super) fn text<'a>(record: &'a Value, names: &[&str]) -> Option<Cow<'a, str>> {
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
    fn objects_lists_and_wrapped_lists_are_read() {
        let count = |response: Value| records(&response).len();
        assert_eq!(count(json!({"id": 1})), 1);
        assert_eq!(count(json!([{}, {}])), 2);
        assert_eq!(count(json!({"users": [{}, {}, {}], "total": 3})), 3);
        assert_eq!(count(json!({"items": [], "total": 0})), 0);
        assert_eq!(count(json!("busy")), 0);
    }
}
