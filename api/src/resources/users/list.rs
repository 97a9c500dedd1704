//! `GET /users`: users by ascending id, paged by offset, with filters.
//!
//! In the form that [`ISOBAR_USERS_URL`](isobar_settings) reads, so that one Isobar is the
//! source of another.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::ids::UserId;
use isobar_store::UserRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::Asked;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    pub items: Vec<UserItem>,
    /// How many there are of these, on all pages.
    pub total: u64,
    pub limit: u32,
    pub offset: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UserItem {
    #[schema(value_type = i64)]
    pub id: UserId,
    /// The number that the source gives them.
    pub external_id: i64,
    pub name: String,
    pub username: Option<String>,
    pub email: String,
    pub phone: Option<String>,
    pub website: Option<String>,
    pub company_name: Option<String>,
    pub company_catchphrase: Option<String>,
    pub company_bs: Option<String>,
    pub has_address: bool,
    pub has_card: bool,
    pub created_at: DateTime<Utc>,
    /// When something last became different.
    pub updated_at: DateTime<Utc>,
}

/// Users
#[utoipa::path(
    get,
    path = "/users",
    params(super::Paging),
    responses((status = 200, body = UserPage, description = "past the end: no users")),
)]
pub async fn list(State(app): State<Shared>, params: Params) -> Result<Json<UserPage>, Problem> {
    let Asked { filter, limit, offset } = Asked::read(&params)?;
    let (rows, total) =
        tokio::join!(app.store.users(&filter, offset, limit), app.store.count_users(&filter));
    let items = rows?.into_iter().map(UserItem::from).collect();
    Ok(Json(UserPage { items, total: total?, limit, offset }))
}

impl From<UserRow> for UserItem {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            external_id: row.user.external_id,
            name: row.user.name,
            username: row.user.username,
            email: row.user.email,
            phone: row.user.phone,
            website: row.user.website,
            company_name: row.user.company_name,
            company_catchphrase: row.user.company_catchphrase,
            company_bs: row.user.company_bs,
            has_address: row.address.is_some(),
            has_card: row.card.is_some(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
