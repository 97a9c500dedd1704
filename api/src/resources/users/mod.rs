//! Users with what was found for them: as a list that pages, one by one, and as a page for people.
//!
//! All of it shows persons, so all of it needs the key. A card is shown by its last four digits:
//! there is no more of it anywhere.

pub mod list;
pub mod show;
pub mod ui;

use isobar_store::{UserFilter, UserRow};
use utoipa::IntoParams;

use crate::http::params::Params;
use crate::http::problem::Problem;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;
/// Longer searches find nothing.
const LONGEST_SEARCH: usize = 255;

/// What the list and the page take, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields are what the document says of them")]
struct Paging {
    /// users on a page (20)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// users before the page (0)
    #[param(maximum = 9_223_372_036_854_775_807_u64)]
    offset: Option<u64>,
    /// only those with, or without, an address
    has_address: Option<bool>,
    /// only those with, or without, a card
    has_card: Option<bool>,
    /// only the one of this number at the source
    external_id: Option<i64>,
    /// only those whose name, user name or e-mail address holds this
    q: Option<String>,
}

/// A page of the list, as it is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub filter: UserFilter,
    pub limit: u32,
    pub offset: u64,
}

impl Asked {
    fn read(params: &Params) -> Result<Self, Problem> {
        let limit = number(params, "limit")?.unwrap_or(u64::from(DEFAULT_LIMIT));
        let limit = u32::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        let limit = limit.ok_or_else(|| {
            let detail = format!("it must be a whole number from 1 to {MAX_LIMIT}");
            Problem::parameter("limit", detail)
        })?;
        let external_id = params.text("external_id").map(str::parse).transpose();
        let filter = UserFilter {
            has_address: flag(params, "has_address")?,
            has_card: flag(params, "has_card")?,
            external_id: external_id
                .map_err(|_| Problem::parameter("external_id", "it must be a whole number"))?,
            search: params.text("q").map(|text| text.chars().take(LONGEST_SEARCH).collect()),
        };
        if filter.search.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(Problem::parameter("q", "it must not hold a NUL byte"));
        }
        Ok(Self { filter, limit, offset: number(params, "offset")?.unwrap_or(0) })
    }
}

fn number(params: &Params, name: &str) -> Result<Option<u64>, Problem> {
    // The databases count no further.
    let fits = |number: &u64| i64::try_from(*number).is_ok();
    params
        .text(name)
        .map(|text| {
            text.parse()
                .ok()
                .filter(fits)
                .ok_or_else(|| Problem::parameter(name, "it must be a whole number from 0 on"))
        })
        .transpose()
}

fn flag(params: &Params, name: &str) -> Result<Option<bool>, Problem> {
    params
        .text(name)
        .map(|text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(Problem::parameter(name, "it must be true or false")),
        })
        .transpose()
}

/// `12 Main Street, Ely 0123, Norway`.
fn one_line(row: &UserRow) -> Option<String> {
    let address = row.address.as_ref()?;
    let join = |parts: [Option<&str>; 2]| {
        let said: Vec<&str> = parts.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(" "))
    };
    let street = join([address.street_number.as_deref(), Some(&address.street_name)]);
    let city = join([Some(&address.city), address.postal_code.as_deref()]);
    let parts = [street, city, address.state.clone(), address.country.clone()];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_within_bounds_or_refused_by_name() {
        let read = |query| Asked::read(&Params::of(query));
        let asked = read("").expect("defaults");
        assert_eq!((asked.limit, asked.offset), (20, 0));
        let asked =
            read("limit=100&offset=7&has_address=FALSE&external_id=-3&q=+Zo%C3%AB").expect("reads");
        assert_eq!((asked.filter.has_address, asked.filter.external_id), (Some(false), Some(-3)));
        assert_eq!(asked.filter.search.as_deref(), Some("Zoë"));
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
