//! `GET /users/{id}`: one user with address and card.
//!
//! Guarantees: of a card only the last four digits are shown; no more are stored.

use axum::Json;
use axum::extract::State;
use isobar_model::ids::UserId;
use isobar_model::user::{Address, Card};
use isobar_store::CardRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::UserItem;
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct UserDetail {
    #[serde(flatten)]
    pub user: UserItem,
    pub address: Option<AddressItem>,
    /// At most one.
    pub credit_cards: Vec<CardItem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AddressItem {
    pub street_number: Option<String>,
    pub street_name: String,
    pub city: String,
    pub state: Option<String>,
    pub country: Option<String>,
    pub postal_code: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CardItem {
    /// `**** **** **** 1234`: no other digits are stored.
    pub card_number: String,
    pub card_type: String,
    #[schema(format = Date)]
    pub expiry_date: String,
}

/// Get a user
#[utoipa::path(
    get,
    path = "/users/{id}",
    params(("id" = i64, Path, description = "user id")),
    responses(
        (status = 200, body = UserDetail, description = "the user with address and card, if known"),
    ),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(id): PathId<i64>,
) -> Result<Json<UserDetail>, Problem> {
    let row = app.store.user(UserId(id)).await?;
    let row = row.ok_or_else(|| Problem::not_found("no user has this id"))?;
    Ok(Json(UserDetail {
        address: row.address.clone().map(AddressItem::from),
        credit_cards: row.card.clone().into_iter().map(CardItem::from).collect(),
        user: UserItem::from(row),
    }))
}

impl From<Address> for AddressItem {
    fn from(address: Address) -> Self {
        Self {
            street_number: address.street_number,
            street_name: address.street_name,
            city: address.city,
            state: address.state,
            country: address.country,
            postal_code: address.postal_code,
        }
    }
}

impl From<CardRow> for CardItem {
    fn from(card: CardRow) -> Self {
        Self {
            card_number: Card::masked(&card.last4),
            card_type: card.card_type,
            expiry_date: card.expiry_date.to_string(),
        }
    }
}
