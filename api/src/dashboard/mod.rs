//! The dashboard at `/`: the page that operators keep open.
//!
//! [`refresh`] asks store, broker and upstream once a second for all viewers and renders the panels.
//! [`home`] is the page, complete without JavaScript. With it, [`live`] sends the panels that changed,
//! and the browser replaces the old ones. [`city_search`] shows one city, [`assets`] the page's files.
//!
//! Does not: change anything. The page's forms post to the API's own routes, which write the audit
//! log. Templates are in `api/templates/`, scripts and styles in `api/assets/`.

pub mod assets;
mod city_search;
pub mod home;
pub mod live;
pub mod refresh;
