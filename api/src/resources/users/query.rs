//! The query of the list of users: filters, `limit` and `offset`.
//!
//! Guarantees: an invalid value is refused by name; no value exceeds what the databases can count.

use isobar_store::UserFilter;
use utoipa::IntoParams;

use crate::http::params::Params;
use crate::http::problem::Problem;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;
/// The databases count no further.
const MAX_OFFSET: u64 = i64::MAX as u64;
/// Longer searches match nothing and are cut.
const MAX_SEARCH_CHARS: usize = 255;

/// The parameters as the document describes them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct UserPaging {
    /// page size (20)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// number of users before the page (0)
    #[param(maximum = 9_223_372_036_854_775_807_u64)]
    offset: Option<u64>,
    /// another name of `offset`, as DummyJSON spells it
    #[param(maximum = 9_223_372_036_854_775_807_u64)]
    skip: Option<u64>,
    /// filter by whether the user has an address
    has_address: Option<bool>,
    /// filter by whether the user has a card
    has_card: Option<bool>,
    /// filter by the id at the source
    external_id: Option<i64>,
    /// filter by part of name, user name or e-mail address
    q: Option<String>,
}

#[derive(Clone, Debug)]
pub struct UserQuery {
    pub filter: UserFilter,
    pub limit: u32,
    pub offset: u64,
}

impl UserQuery {
    pub fn read(params: &Params) -> Result<Self, Problem> {
        let filter = UserFilter {
            has_address: flag(params, "has_address")?,
            has_card: flag(params, "has_card")?,
            external_id: params.number("external_id", i64::MIN..=i64::MAX)?,
            search: params.text("q").map(|text| text.chars().take(MAX_SEARCH_CHARS).collect()),
        };
        if filter.search.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(Problem::parameter("q", "must not contain a NUL byte"));
        }
        let limit = params.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        // Isobar as a client sends both: it does not know which service it asks.
        let skip = params.number("skip", 0..=MAX_OFFSET)?;
        let offset = params.number("offset", 0..=MAX_OFFSET)?.or(skip).unwrap_or(0);
        Ok(Self { filter, limit, offset })
    }
}

fn flag(params: &Params, name: &str) -> Result<Option<bool>, Problem> {
    params
        .text(name)
        .map(|text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(Problem::parameter(name, "must be true or false")),
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_parameter_is_refused_by_name() {
        let read = |query| UserQuery::read(&Params::from_query(query));
        let query = read("").expect("defaults");
        assert_eq!((query.limit, query.offset), (20, 0));
        let query =
            read("limit=100&offset=7&has_address=FALSE&external_id=-3&q=+Zo%C3%AB").expect("valid");
        assert_eq!((query.filter.has_address, query.filter.external_id), (Some(false), Some(-3)));
        assert_eq!(query.filter.search.as_deref(), Some("Zoë"));
        for (query, name) in [
            ("limit=0", "/limit"),
            ("limit=101", "/limit"),
            ("offset=-1", "/offset"),
            ("offset=9223372036854775808", "/offset"),
            ("has_card=maybe", "/has_card"),
            ("external_id=x", "/external_id"),
            ("q=%00x", "/q"),
        ] {
            assert_eq!(read(query).expect_err(query).errors[0].pointer, name);
        }
    }
}
