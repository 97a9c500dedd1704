//! `GET /cities/`: the cities, paged by number, in the format of a city service.
//!
//! Does not: keep pages stable while cities are added. A reader finds duplicates by the city's id, as
//! `isobar produce` does.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::city::Coordinates;
use isobar_model::ids::CityId;
use isobar_store::CityRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::params::{MAX_LIMIT, Params};
use crate::http::problem::Problem;
use crate::state::SharedState;

/// The usual page size of city services.
const DEFAULT_LIMIT: u32 = 100;

#[derive(Debug, Serialize, ToSchema)]
pub struct CityPage {
    pub cities: Vec<CityItem>,
    pub page: u32,
    pub limit: u32,
    /// At most a few seconds old.
    pub total_count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CityItem {
    #[schema(value_type = i64)]
    pub city_id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    pub latitude_deg: Option<f64>,
    pub longitude_deg: Option<f64>,
    pub last_refreshed_at: Option<DateTime<Utc>>,
    /// `success`, `failed` or `pending`.
    pub last_status: Option<String>,
    pub last_error: Option<String>,
}

/// Cities, in the format of a city service
#[utoipa::path(
    get,
    path = "/cities/",
    params(
        ("page" = Option<u32>, Query, description = "page number, from 0"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "page size (100)"),
    ),
    responses((status = 200, body = CityPage, description = "a page of cities; empty past the end")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<CityPage>, Problem> {
    let limit = params.limit_or(DEFAULT_LIMIT)?;
    let page = params.number("page", 0..=u32::MAX / MAX_LIMIT)?.unwrap_or(0);
    let offset = u64::from(page) * u64::from(limit);
    let (rows, totals) = tokio::join!(app.store.cities_page(offset, limit), app.totals());
    let cities = rows?.into_iter().map(CityItem::from).collect();
    Ok(Json(CityPage { cities, page, limit, total_count: totals?.cities }))
}

impl From<CityRow> for CityItem {
    fn from(row: CityRow) -> Self {
        Self {
            city_id: row.id,
            name: row.name,
            country_code: row.country_code,
            latitude_deg: row.coordinates.map(Coordinates::latitude),
            longitude_deg: row.coordinates.map(Coordinates::longitude),
            last_refreshed_at: row.last_refreshed_at,
            last_status: row.last_status,
            last_error: row.last_error,
        }
    }
}
