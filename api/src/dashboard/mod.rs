//! `/`: the page that people keep open.
//!
//! One look a second at store, broker and upstream ([`look`]) is all that anybody watching costs,
//! however many they are; nobody watching costs nothing but the beat of [`pulse`]. Each panel is a
//! template over that look ([`panels`]), so the page is whole without JavaScript. With it, `/live`
//! ([`live`]) sends the panels that changed, and the browser puts them in place of the old ones:
//! there is one rendering of everything, and it is here.
//!
//! The page only shows. Its forms are for the API's own routes, which do and record everything.
//! Templates lie in `api/templates/`, scripts and styles in `api/assets/` ([`assets`]), served from
//! this binary and never from elsewhere.

pub mod assets;
mod city_search;
pub mod home;
pub mod live;

pub use live::{Live, keep_looking};
