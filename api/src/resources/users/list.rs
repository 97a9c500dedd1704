//! `GET /users`: users by ascending id, paged by offset, with filters.
//!
//! The format is the one that `ISOBAR_USERS_URL` reads, so one Isobar can be the source of another.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::ids::UserId;
use isobar_store::UserRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{UserPaging, UserQuery};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    pub items: Vec<UserItem>,
    /// Matching users on all pages.
    pub total: u64,
    pub limit: u32,
    pub offset: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UserItem {
    #[schema(value_type = i64)]
    pub id: UserId,
    /// The id at the source.
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
    /// When a value last changed.
    pub updated_at: DateTime<Utc>,
}

/// Users
#[utoipa::path(
    get,
    path = "/users",
    params(UserPaging),
    responses((status = 200, body = UserPage, description = "a page of users; empty past the end")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<UserPage>, Problem> {
    let UserQuery { filter, limit, offset } = UserQuery::read(&params)?;
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
