//! Query parameters and path parts, read so that every refusal is a problem.
//!
//! An empty value counts as absent, and the first of a repeated name counts. The gate has refused
//! unknown names (see [`super::known_params`]).
//! Does not: answer. Axum's own extractors would send their errors as plain text.

use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::http::cursor::{self, Cursor};
use crate::http::problem::Problem;

pub const DEFAULT_LIMIT: u32 = 50;
pub const MAX_LIMIT: u32 = 500;

/// The query, decoded.
pub struct Params(Vec<(String, String)>);

impl Params {
    pub fn from_query(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// `limit`, from 1 to 500.
    pub fn limit(&self) -> Result<u32, Problem> {
        self.limit_or(DEFAULT_LIMIT)
    }

    /// `limit` with another default.
    pub fn limit_or(&self, default: u32) -> Result<u32, Problem> {
        Ok(self.number("limit", 1..=MAX_LIMIT)?.unwrap_or(default))
    }

    /// A number within `range`, or `None` if it is absent.
    pub fn number<N: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let detail =
                format!("must be a whole number from {} to {}", range.start(), range.end());
            Problem::parameter(name, detail)
        })
    }

    pub fn cursor<C: Cursor>(&self) -> Result<Option<C>, Problem> {
        self.text("cursor").map(cursor::decode).transpose()
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_query(parts.uri.query().unwrap_or_default()))
    }
}

/// The first `{part}` of a path. Text that is not a `T` names nothing: 404.
pub struct PathId<T>(pub T);

impl<T: FromStr, S: Sync + Send> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        RawPathParams::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|params| {
                let (_, id) = params.iter().next()?;
                id.parse().ok()
            })
            .map(Self)
            .ok_or_else(|| Problem::not_found("nothing has this id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_absent_and_the_first_counts() {
        let params = Params::from_query("limit=&cursor=+&city=S%C3%A3o+Paulo&city=x");
        assert_eq!(params.limit().expect("default"), DEFAULT_LIMIT);
        assert_eq!(params.text("cursor"), None);
        assert_eq!(params.text("city"), Some("São Paulo"));
    }

    #[test]
    fn a_limit_out_of_range_names_the_parameter() {
        for query in ["limit=0", "limit=501", "limit=x", "limit=-1", "limit=1.5"] {
            let problem = Params::from_query(query).limit().expect_err(query);
            assert_eq!(problem.errors[0].pointer, "/limit");
        }
        assert_eq!(Params::from_query("limit=500").limit().expect("fits"), 500);
    }
}
