//! `/users`: users with their addresses and cards, as a list, one by one, and as a page.
//!
//! Guarantees: every route needs the key, because all show personal data. A card is shown by its last
//! four digits; no more of it is stored anywhere.
//! Next: [`query`] (filters and paging), [`list`], [`show`], [`ui`] (the page).

pub mod list;
mod query;
pub mod show;
pub mod ui;
