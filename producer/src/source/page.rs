//! One page of a service: its rows, and a fingerprint that identifies it.
//!
//! Next: [`city_page`](super::city_page) and [`user_page`](super::user_page), which read pages.

use super::row::ParsedRow;

#[derive(Clone, Debug, PartialEq)]
pub struct SourcePage {
    pub rows: Vec<ParsedRow>,
    /// How many rows the service reports in all.
    pub total_count: Option<u64>,
    /// This page is the whole list, however it is requested.
    pub is_whole: bool,
    /// Equal for pages that hold the same rows.
    pub fingerprint: String,
}
