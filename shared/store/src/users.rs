//! Users, addresses and cards as they go into and come out of a store.

use chrono::{DateTime, NaiveDate, Utc};

use isobar_model::ids::UserId;
use isobar_model::user::{Address, Card, User};

/// What one commit knows of people. Each user may occur once in each list at the most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    pub users: Vec<SeenUser>,
    pub addresses: Vec<Found<Address>>,
    pub cards: Vec<Found<Card>>,
}

/// A user as a source told of them at a time. Written only if nothing newer is stored (I4).
#[derive(Clone, Debug, PartialEq)]
pub struct SeenUser {
    pub user: User,
    pub seen_at: DateTime<Utc>,
}

/// Something that was found for a user of the store, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    pub user_id: UserId,
    pub what: T,
    pub found_at: DateTime<Utc>,
}

/// Which users are meant: what is absent restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub has_address: Option<bool>,
    pub has_card: Option<bool>,
    pub external_id: Option<i64>,
    /// Part of a name, a user name or an e-mail address, in whatever case.
    pub search: Option<String>,
}

/// A user with what was found for them.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    pub id: UserId,
    pub user: User,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub address: Option<Address>,
    pub card: Option<CardRow>,
}

/// What of a card is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRow {
    pub last4: String,
    pub card_type: String,
    pub expiry_date: NaiveDate,
}

impl People {
    /// By key, so that two workers never wait for each other in a circle.
    pub(super) fn sorted(&self) -> (Vec<&SeenUser>, Vec<&Found<Address>>, Vec<&Found<Card>>) {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|seen| seen.user.external_id);
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        addresses.sort_unstable_by_key(|found| found.user_id);
        let mut cards: Vec<_> = self.cards.iter().collect();
        cards.sort_unstable_by_key(|found| found.user_id);
        (users, addresses, cards)
    }
}
