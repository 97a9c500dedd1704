//! The fields of an entry, and the error when they are not a task.
//!
//! Guarantees: decoding trusts nothing. A field must be UTF-8, short enough and free of NUL bytes.

use std::str::FromStr;

/// The longest field in bytes. A name is never longer; a row of a file is rejected above it.
pub const MAX_FIELD_BYTES: usize = 4 * 1024;

/// The fields as the stream stores them: named bytes, in order, not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The fields as text; bytes that are not UTF-8 are replaced.
    pub fn to_json(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0
            .iter()
            .map(|(key, value)| (text(key), text(value).into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Reads the text of [`to_json`](Self::to_json); `None` for any other text.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
        let field = |(name, value): (String, serde_json::Value)| match value {
            serde_json::Value::String(value) => Some((name.into_bytes(), value.into_bytes())),
            _ => None,
        };
        map.into_iter().map(field).collect::<Option<_>>().map(Self)
    }
}

/// Why an entry is not a task: a stable code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    pub code: &'static str,
    pub reason: String,
}

impl DecodeError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { code: "undecodable", reason: reason.into() }
    }
}

/// The trimmed text of a field; `None` when the field is absent or blank.
pub(super) fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, DecodeError> {
    let Some(bytes) = fields.get(name) else {
        return Ok(None);
    };
    if bytes.len() > MAX_FIELD_BYTES {
        return Err(DecodeError::new(format!("{name} is longer than {MAX_FIELD_BYTES} bytes")));
    }
    let text = str::from_utf8(bytes)
        .map_err(|_| DecodeError::new(format!("{name} is not valid UTF-8")))?;
    if text.contains('\0') {
        // PostgreSQL stores no NUL in text. Without this check it would fail the whole commit.
        return Err(DecodeError::new(format!("{name} contains a NUL byte")));
    }
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

pub(super) fn number<T: FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, DecodeError> {
    parsed(fields, name, "number")
}

/// The value of a field as a `T`; the error calls it a `what`.
pub(super) fn parsed<T: FromStr>(
    fields: &Fields,
    name: &str,
    what: &str,
) -> Result<Option<T>, DecodeError> {
    let invalid = |_| DecodeError::new(format!("{name} is not a valid {what}"));
    text(fields, name)?.map(|text| text.parse().map_err(invalid)).transpose()
}
