//! What was searched for: the cities of that name, and the story of one of them.
//!
//! A name that several cities bear shows the most populous one, and the others as links. A city
//! that is not stored but is in the built-in list says so: nobody has asked for it yet.

use std::cmp::Reverse;

use askama::Template;
use isobar_model::city::fold_name;
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_store::CityRow;
use isobar_upstream::wmo;

use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::panels::Lamp;
use crate::panels::format::When;
use crate::resources::cities::show::{CityStory, Event, story};
use crate::state::App;

/// Of namesakes, and of a city's events.
const SHOWN: usize = 30;

#[derive(Template)]
#[template(path = "city_search.html")]
pub struct Found {
    asked: String,
    city: Option<CityStory>,
    namesakes: Vec<Namesake>,
    more_namesakes: usize,
    /// It is no city of ours, but one that could be.
    in_list: bool,
}

struct Namesake {
    id: CityId,
    name: String,
    country: String,
    region: String,
}

/// `None` where nothing was searched for.
pub async fn find(app: &App, params: &Params) -> Result<Option<Found>, Problem> {
    if let Some(id) = params.text("city_id") {
        let number = id.parse().ok().map(CityId);
        let city = match number {
            Some(id) => story(app, id).await?,
            None => None,
        };
        let in_list = number.is_some_and(|id| gazetteer::builtin().by_id(id).is_some());
        let asked = format!("number {id}");
        return Ok(Some(Found { asked, city, namesakes: Vec::new(), more_namesakes: 0, in_list }));
    }
    let Some(name) = params.text("city") else {
        return Ok(None);
    };
    let mut named = app.store.cities_named(&fold_name(name), None).await?;
    named.sort_by_key(|row| Reverse(population(row)));
    let city = match named.first() {
        Some(first) => story(app, first.id).await?,
        None => None,
    };
    let others = named.get(1..).unwrap_or_default();
    Ok(Some(Found {
        asked: name.to_owned(),
        city,
        namesakes: others.iter().take(SHOWN).map(Namesake::of).collect(),
        more_namesakes: others.len().saturating_sub(SHOWN),
        in_list: gazetteer::builtin().by_name(name, None).is_some(),
    }))
}

/// City services seldom tell it; the built-in list does.
fn population(row: &CityRow) -> Option<i64> {
    row.population.or_else(|| gazetteer::builtin().by_id(row.id)?.population)
}

impl Found {
    /// For the field that was searched in.
    pub fn name(&self) -> &str {
        self.city.as_ref().map_or("", |story| &story.city.name)
    }

    fn events(story: &CityStory) -> &[Event] {
        &story.timeline[..story.timeline.len().min(SHOWN)]
    }

    fn lamp(status: &str) -> Lamp {
        match status {
            "success" => Lamp::Good,
            "failed" | "dead" => Lamp::Bad,
            _ => Lamp::Idle,
        }
    }

    fn condition(code: i32) -> &'static str {
        wmo::condition(code)
    }

    /// How the city's last refresh went, in words.
    fn verdict(story: &CityStory) -> &'static str {
        match (story.city.last_status.as_deref(), &story.weather) {
            (Some("success"), _) => "The last refresh succeeded.",
            (Some("failed"), Some(_)) => {
                "The last refresh failed; the snapshot is that of an earlier one."
            }
            (Some("failed"), None) => "The last refresh failed, and there is no snapshot.",
            (_, Some(_)) => "It has a snapshot.",
            (_, None) => "It has never been refreshed.",
        }
    }
}

impl Namesake {
    fn of(row: &CityRow) -> Self {
        Self {
            id: row.id,
            name: row.name.clone(),
            country: row.country_code.clone().unwrap_or_default(),
            region: row.admin1_code.clone().unwrap_or_default(),
        }
    }
}
