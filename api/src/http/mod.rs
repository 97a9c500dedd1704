//! HTTP as this API speaks it: what every route needs, and nothing of Isobar's state.
//!
//! Read a request: [`params`], [`paging`], [`cursor`], [`etag`], [`actor`]. Admit it: [`access`],
//! [`sessions`], [`key_guesses`], [`rate_limit`], [`limits`]. Answer it: [`problem`] (the only error type),
//! [`security_headers`], [`request_log`]. The connection below: [`connection`],
//! [`connection_slots`], [`open_files`], [`body_meter`], [`drain_body`], [`write_timeout`].
//!
//! Does not: decide anything about a resource (see `resources`) or hold the server's state (`state`).

pub mod access;
pub mod actor;
pub mod body_meter;
pub mod connection;
pub mod connection_slots;
pub mod cursor;
pub mod drain_body;
pub mod etag;
pub mod key_guesses;
pub mod known_params;
pub mod limits;
pub mod open_files;
pub mod paging;
pub mod params;
pub mod problem;
pub mod rate_limit;
pub mod request_log;
pub mod security_headers;
pub mod sessions;
pub mod write_timeout;
