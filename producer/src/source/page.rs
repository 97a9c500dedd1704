//! One answer of a service, read: its rows, and what tells it from another page.

use super::row::Row;

#[derive(Clone, Debug, PartialEq)]
pub struct SourcePage {
    pub rows: Vec<Row>,
    /// How many rows the service reports in all.
    pub total_count: Option<u64>,
    /// This page is the whole list, however it is requested.
    pub is_whole: bool,
    /// Equal for pages that hold the same rows.
    pub fingerprint: String,
}
