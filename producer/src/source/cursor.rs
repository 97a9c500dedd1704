//! Cursors: where another process continues a source, as plain data.
//!
//! The outbox stores a cursor as JSON beside the batch that its rows became (I1). The form of each
//! is therefore kept readable; fields are only added, with a default.
//! Does not: read anything; each source moves its own cursor.

use isobar_model::ids::UserId;
use isobar_store::LedgerCursor;
use serde::{Deserialize, Serialize};

use super::columns::Columns;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceCursor {
    Api(ApiCursor),
    Csv(CsvCursor),
    /// Rows of the built-in list that are read.
    Gazetteer(u64),
    #[serde(rename = "lacking")]
    Incomplete(IncompleteCursor),
    /// Stored without a name, as it was before republications were a source.
    #[serde(untagged)]
    Republish(RepublishCursor),
}

/// A place in the pages of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiCursor {
    /// The number of the page; for users, the number of rows on all pages before it.
    pub(super) page: u64,
    /// Rows of that page that are read.
    pub(super) taken: usize,
    /// Of this page if a row of it is read, otherwise of the page before.
    pub(super) fingerprint: Option<String>,
    pub(super) repeats: u32,
    pub(super) row: u64,
    pub(super) pages: u64,
    /// The last page was short: no page follows.
    pub(super) last: bool,
}

impl ApiCursor {
    pub(super) fn first(page: u32) -> Self {
        Self { page: u64::from(page), ..Self::default() }
    }
}

/// A place between two records of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CsvCursor {
    pub(super) offset: u64,
    /// The hash of all bytes before the offset.
    pub(super) running_hash: String,
    pub(super) row: u64,
    pub(super) columns: Columns,
    /// Line ends before the offset. Absent in cursors of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<u64>,
}

/// A place among the users of the store, by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteCursor {
    pub(super) after: Option<UserId>,
    pub(super) row: u64,
}

/// A place among failed rows or dead letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RepublishCursor {
    pub(super) after: Option<RepublishPoint>,
    /// Dead letters of the tasks since the batch before. Once the batch with those tasks is
    /// committed, they are deleted.
    pub(super) letters: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RepublishPoint {
    /// The last row of the ledger.
    Row(LedgerCursor),
    /// The last dead letter; they are read from the newest to the oldest.
    Letter(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_cursors_stay_readable() {
        let stored = [
            r#"{"api":{"page":3,"taken":7,"fingerprint":"ab","repeats":0,"row":307,"pages":4,"last":false}}"#,
            r#"{"csv":{"offset":9,"running_hash":"ab","row":1,"columns":{"delimiter":44,"has_header":true,"city_id":null,"name":0,"country":null,"latitude":null,"longitude":null}}}"#,
            r#"{"csv":{"offset":18,"running_hash":"ab","row":1,"columns":{"delimiter":9,"has_header":true,"city_id":null,"name":0,"country":null,"latitude":1,"longitude":2,"more":[["name",3]],"width":4,"utf16":"little"},"lines":2}}"#,
            r#"{"gazetteer":500}"#,
            r#"{"lacking":{"after":7,"row":3}}"#,
            r#"{"after":{"letter":12},"letters":[12,14]}"#,
            r#"{"after":{"row":{"row":4,"task_id":"6fa1c1f0-52c4-4c39-9a55-000000000001"}},"letters":[]}"#,
        ];
        for text in stored {
            let cursor: SourceCursor = serde_json::from_str(text).expect("reads");
            assert_eq!(serde_json::to_string(&cursor).expect("plain data"), text);
        }
    }
}
