//! Every setting, once: name, type, default and description, and the checks between settings.
//!
//! Guarantees: a flag wins over the environment, the environment over `.env`, and `.env` over the
//! default. A value that does not parse or does not fit another one ends the start with exit code
//! 78, and the message names both. `std::env` is read here and nowhere else.
//! Next: `table.rs` (the settings), [`values`] (their types), `load.rs`, `derived.rs` (defaults that
//! depend on other settings), `checks.rs`.

mod checks;
mod derived;
mod dotenv;
mod environment;
mod load;
mod outboxes;
mod rate_limit;
mod schedules;
mod table;
mod unknown;
pub mod values;

pub use derived::{
    AIR_QUALITY_HOST, FREE_TIER_HOST, GEOCODING_HOST, REQUEST_RETRY_PAUSE, REQUEST_TRIES,
};
pub use environment::Environment;
pub use load::ConfigError;
pub use rate_limit::RateSpec;
pub use table::{SETTINGS, Setting, Settings};
