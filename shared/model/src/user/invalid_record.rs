//! Invalid records: why a user, an address or a card is refused.

/// A stable code, and a sentence that quotes nothing of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord {
    pub code: &'static str,
    pub reason: String,
}

impl InvalidRecord {
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Refuses a text that does not fit the column of `field`.
pub(super) fn check_length(field: &str, text: &str, longest: usize) -> Result<(), InvalidRecord> {
    if text.chars().count() > longest {
        return Err(InvalidRecord::new(
            "field_too_long",
            format!("{field} is longer than {longest} characters"),
        ));
    }
    if text.contains('\0') {
        return Err(InvalidRecord::new("nul_byte", format!("{field} contains a NUL byte")));
    }
    Ok(())
}
