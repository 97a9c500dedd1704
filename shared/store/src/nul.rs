//! NUL characters in text: refused in data, dropped from sentences.
//!
//! PostgreSQL stores none, SQLite would, and many a reader cuts its text there. Both backends
//! therefore treat data with a NUL as data that cannot be stored; reasons and error messages, which
//! people read and nobody matches, lose the character instead of failing the commit that tells them.

use std::borrow::Cow;

use super::ledger::{Commit, Records, StoreError};

pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// For the backend whose database would take a NUL.
pub(super) fn refuse_nul(commit: &Commit) -> Result<(), StoreError> {
    // What is known of people was checked when it was read.
    let snapshots = match &commit.records {
        Records::Weather(snapshots) => snapshots.as_slice(),
        Records::People(_) => &[],
    };
    let snapshots = snapshots.iter().flat_map(|row| {
        [
            row.name.as_deref(),
            row.country_code.as_deref(),
            row.admin1_code.as_deref(),
            Some(row.time.as_str()),
            Some(row.raw_payload.as_str()),
        ]
    });
    let failures = commit
        .failed_cities
        .iter()
        .flat_map(|row| [row.name.as_deref(), row.country_code.as_deref()]);
    let ledger = commit
        .ledger
        .iter()
        .flat_map(|row| [row.city.as_deref(), row.error_code.as_deref(), row.input.as_deref()]);
    let dead = commit.dead.iter().map(|row| Some(row.source.as_str()));
    let opens = commit.opens.iter().map(|open| Some(open.source.as_str()));
    let texts = snapshots.chain(failures).chain(ledger);
    if texts.chain(dead).chain(opens).flatten().any(|text| text.as_bytes().contains(&0)) {
        return Err(StoreError::Data { source: anyhow::anyhow!("a text holds a NUL character") });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_loses_its_nul_and_nothing_else() {
        assert_eq!(without_nul("a\0b\0"), "ab");
        assert!(matches!(without_nul("São"), Cow::Borrowed("São")));
    }
}
