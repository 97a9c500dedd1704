//! City source: `GET /cities/?page=&limit=`, the list of cities in pages.
//!
//! Guarantees: pages begin at 0, and a page after the last is empty instead of an error.
//! `total_count` is right, although clients must not rely on it. A shift fault begins a page too
//! early, as if cities had been inserted during paging.
//! Next: [`crate::cities`], the list.

use crate::cities::{self, MAX_CITIES};
use crate::query::Query;
use crate::reply::Reply;

const DEFAULT_LIMIT: usize = 100;

/// The largest page.
const MAX_LIMIT: usize = 10_000;

pub fn answer(query: &Query<'_>, listed: usize, shift_rows: usize) -> Reply {
    let (page, limit) = match (number(query, "page", 0), number(query, "limit", DEFAULT_LIMIT)) {
        (Some(page), Some(limit)) if (1..=MAX_LIMIT).contains(&limit) => (page, limit),
        _ => return Reply::bad_request("page must be 0 or more and limit between 1 and 10000"),
    };
    let listed = listed.min(MAX_CITIES);
    let from = page.saturating_mul(limit).saturating_sub(shift_rows);
    let rows = from.min(listed)..from.saturating_add(limit).min(listed);
    let locations = rows.len();
    let cities: Vec<String> = rows.map(|index| city_json(&cities::nth(index))).collect();
    let json = format!(
        "{{\"cities\":[{}],\"page\":{page},\"limit\":{limit},\"total_count\":{listed}}}",
        cities.join(",")
    );
    Reply::ok(json).with_locations(locations)
}

fn city_json(city: &cities::City) -> String {
    let name = serde_json::Value::from(city.name.as_ref());
    format!(
        "{{\"city_id\":{},\"name\":{name},\"country_code\":\"{}\",\"latitude_deg\":{:?},\"longitude_deg\":{:?}}}",
        city.id, city.country_code, city.latitude, city.longitude
    )
}

fn number(query: &Query<'_>, name: &str, default: usize) -> Option<usize> {
    query.get(name).map_or(Some(default), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str, listed: usize, shift_rows: usize) -> serde_json::Value {
        let reply = answer(&Query::parse(query, b""), listed, shift_rows);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn ids(page: &serde_json::Value) -> Vec<i64> {
        let cities = page["cities"].as_array().unwrap();
        cities.iter().map(|city| city["city_id"].as_i64().unwrap()).collect()
    }

    #[test]
    fn pages_end_short_then_empty() {
        let first = page("", 250, 0);
        assert_eq!(ids(&first).len(), 100);
        assert_eq!(ids(&first)[0], 1_796_236);
        assert_eq!((&first["page"], &first["limit"]), (&0.into(), &100.into()));
        assert_eq!(first["total_count"], 250);
        assert_eq!(ids(&page("page=2&limit=100", 250, 0)).len(), 50);
        assert_eq!(page("page=3", 250, 0)["cities"], serde_json::json!([]));
        assert_eq!(page("page=9999999999", 250, 0)["cities"], serde_json::json!([]));
    }

    #[test]
    fn a_shifted_page_repeats_a_row() {
        let first = ids(&page("page=0&limit=10", 250, 0));
        let second = ids(&page("page=1&limit=10", 250, 1));
        assert_eq!(first[9], second[0]);
    }

    #[test]
    fn invalid_parameters_are_a_400() {
        for query in ["page=-1", "limit=0", "limit=x", "limit=10001"] {
            assert_eq!(answer(&Query::parse(query, b""), 1, 0).status, 400, "{query}");
        }
    }
}
