//! The query parameters that a route knows, from its part of the OpenAPI document.
//!
//! Guarantees: an unknown name is a problem that names the known ones, so that a misspelt filter
//! never selects everything. A name that begins with `_` and an empty value are ignored.
//! Does not: read values (see [`super::params`]).

use std::sync::Arc;

use axum::http::Method;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, Paths};

use super::problem::Problem;

/// For the methods of one route. Cheap to clone.
#[derive(Clone, Default)]
pub struct KnownParams(Arc<[(Method, Vec<String>)]>);

impl KnownParams {
    pub fn documented(paths: &Paths) -> Self {
        let operations = paths.paths.values().flat_map(|item| {
            [(Method::GET, &item.get), (Method::POST, &item.post), (Method::DELETE, &item.delete)]
        });
        let known = operations.filter_map(|(method, operation)| {
            operation.as_ref().map(|operation| (method, names(operation)))
        });
        Self(known.collect())
    }

    pub fn check(&self, method: &Method, query: Option<&str>) -> Result<(), Problem> {
        let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let Some((_, known)) = self.0.iter().find(|(own, _)| own == method) else {
            // Another method is a 405, or the route reads its parameters by itself.
            return Ok(());
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_ignored = name.starts_with('_') || value.trim().is_empty();
            if !is_ignored && !known.iter().any(|own| *own == name) {
                let known = match known.as_slice() {
                    [] => "this route has no parameters".to_owned(),
                    known => format!("known: {}", known.join(", ")),
                };
                return Err(Problem::parameter(&name, format!("unknown parameter; {known}")));
            }
        }
        Ok(())
    }
}

fn names(operation: &Operation) -> Vec<String> {
    let in_query = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(known) if known.parameter_in == ParameterIn::Query => Some(known.name.clone()),
        _ => None,
    };
    operation.parameters.iter().flatten().filter_map(in_query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused() {
        let known = KnownParams([(Method::GET, vec!["limit".to_owned()])].into());
        let check = |query| known.check(&Method::GET, Some(query));
        for query in ["", "limit=5", "limit=", "_=1", "_t=2&limit=5", "limt="] {
            assert!(check(query).is_ok(), "{query}");
        }
        let problem = check("limit=5&limt=5").expect_err("misspelt");
        assert_eq!(problem.errors[0].pointer, "/limt");
        assert!(known.check(&Method::HEAD, Some("x=1")).is_err());
        assert!(known.check(&Method::POST, Some("x=1")).is_ok());
    }
}
