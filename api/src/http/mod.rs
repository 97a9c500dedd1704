//! HTTP as this API speaks it: what every route needs, and nothing of Isobar's state.
//!
//! Reading a request: [`params`], [`cursor`], [`etag`], [`actor`], [`limits`]. Letting it in:
//! [`access`], [`sessions`], [`rate_limit`]. Answering: [`problem`] (the one error type),
//! [`security_headers`], [`request_log`]. The connection beneath: [`connection`], [`drain_body`],
//! [`write_timeout`].
//!
//! Does not: decide anything of a resource (see `resources`) or hold the app's state (`state`).

pub mod access;
pub mod actor;
pub mod connection;
pub mod cursor;
pub mod drain_body;
pub mod etag;
pub mod limits;
pub mod params;
pub mod problem;
pub mod rate_limit;
pub mod request_log;
pub mod security_headers;
pub mod sessions;
pub mod write_timeout;
