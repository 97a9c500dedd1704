//! Who does something, for the record of operations: the other end of the connection.
//!
//! All clients show one key, so that is as much as there is to know of them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::connection::Ends;

/// `api <address>`.
pub struct Actor(pub String);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Ends>().map(|ends| ends.peer.ip().to_canonical());
        Ok(Self(peer.map_or_else(|| "api".to_owned(), |peer| format!("api {peer}"))))
    }
}
