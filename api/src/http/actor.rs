//! The actor of an operation, for the audit log: the address of the client.
//!
//! All clients share one key, so their address is all that distinguishes them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::connection::ConnectionAddrs;

/// `api <address>`.
pub struct Actor(pub String);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer =
            parts.extensions.get::<ConnectionAddrs>().map(|addrs| addrs.peer.ip().to_canonical());
        Ok(Self(peer.map_or_else(|| "api".to_owned(), |peer| format!("api {peer}"))))
    }
}
