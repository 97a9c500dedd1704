//! City search: the most populous city of a name with its timeline, and the others as links.
//!
//! A city that is only in the built-in list is shown as not imported yet.

use std::cmp::Reverse;

use askama::Template;
use isobar_model::city::fold_name;
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_store::CityRow;
use isobar_upstream::wmo;

use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::panels::format::TimeTag;
use crate::panels::health_state::HealthState;
use crate::resources::cities::show::{CityTimeline, Event, timeline};
use crate::state::AppState;

/// Other cities with the name, and events of the city.
const MAX_SHOWN: usize = 30;

#[derive(Template)]
#[template(path = "city_search.html")]
pub struct CitySearch {
    query: String,
    city: Option<CityTimeline>,
    others: Vec<SameNameCity>,
    more_others: usize,
    /// The built-in list has it.
    in_list: bool,
}

struct SameNameCity {
    id: CityId,
    name: String,
    country: String,
    region: String,
}

/// `None` if the request searches for nothing.
pub async fn find(app: &AppState, params: &Params) -> Result<Option<CitySearch>, Problem> {
    if let Some(id) = params.text("city_id") {
        let number = id.parse().ok().map(CityId);
        let city = match number {
            Some(id) => timeline(app, id).await?,
            None => None,
        };
        let in_list = number.is_some_and(|id| gazetteer::builtin().by_id(id).is_some());
        let query = format!("id {id}");
        return Ok(Some(CitySearch { query, city, others: Vec::new(), more_others: 0, in_list }));
    }
    let Some(name) = params.text("city") else {
        return Ok(None);
    };
    let mut named = app.store.find_cities(&fold_name(name), None).await?;
    named.sort_by_key(|row| Reverse(population(row)));
    let city = match named.first() {
        Some(first) => timeline(app, first.id).await?,
        None => None,
    };
    let others = named.get(1..).unwrap_or_default();
    Ok(Some(CitySearch {
        query: name.to_owned(),
        city,
        others: others.iter().take(MAX_SHOWN).map(SameNameCity::new).collect(),
        more_others: others.len().saturating_sub(MAX_SHOWN),
        in_list: gazetteer::builtin().by_name(name, None).is_some(),
    }))
}

/// City services seldom report it; the built-in list has it.
fn population(row: &CityRow) -> Option<i64> {
    row.population.or_else(|| gazetteer::builtin().by_id(row.id)?.population)
}

impl CitySearch {
    /// For the search field.
    pub fn name(&self) -> &str {
        self.city.as_ref().map_or("", |found| &found.city.name)
    }

    fn events(city: &CityTimeline) -> &[Event] {
        &city.timeline[..city.timeline.len().min(MAX_SHOWN)]
    }

    fn health(status: &str) -> HealthState {
        match status {
            "success" => HealthState::Good,
            "failed" | "dead" => HealthState::Bad,
            _ => HealthState::Idle,
        }
    }

    fn condition(code: i32) -> &'static str {
        wmo::condition(code)
    }

    fn last_refresh(city: &CityTimeline) -> &'static str {
        match (city.city.last_status.as_deref(), &city.weather) {
            (Some("success"), _) => "The last refresh succeeded.",
            (Some("failed"), Some(_)) => {
                "The last refresh failed; the snapshot is from an earlier refresh."
            }
            (Some("failed"), None) => "The last refresh failed, and no snapshot is stored.",
            (_, Some(_)) => "A snapshot is stored.",
            (_, None) => "Never refreshed.",
        }
    }
}

impl SameNameCity {
    fn new(row: &CityRow) -> Self {
        Self {
            id: row.id,
            name: row.name.clone(),
            country: row.country_code.clone().unwrap_or_default(),
            region: row.admin1_code.clone().unwrap_or_default(),
        }
    }
}
