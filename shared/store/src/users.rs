//! Users: the records of the user pipelines (users, addresses, cards), and what reads them.
//!
//! Guarantees: an older record never replaces a newer one (I4). A repeat changes nothing, not even
//! `updated_at`, which is the time of the last difference. No column could hold a card's number.
//! Next: [`crate::records`] (how a commit gets the records of each pipeline).

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};

use crate::error::Result;
use crate::row::{FromRow, Row};
use crate::sql::Batch;
use crate::store::Store;
use isobar_model::ids::UserId;
use isobar_model::pipeline::Enrichment;
use isobar_model::user::{Address, Card, User};

/// The user records of one commit. A user occurs at most once in each list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserRecords {
    pub users: Vec<SourcedUser>,
    pub addresses: Vec<Enriched<Address>>,
    pub cards: Vec<Enriched<Card>>,
}

/// A user, and when the source gave this record.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcedUser {
    pub user: User,
    pub seen_at: DateTime<Utc>,
}

/// What an upstream returned for a stored user, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Enriched<T> {
    pub user_id: UserId,
    pub value: T,
    pub enriched_at: DateTime<Utc>,
}

/// Selects users; an absent field restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub has_address: Option<bool>,
    pub has_card: Option<bool>,
    pub external_id: Option<i64>,
    /// Part of a name, a user name or an e-mail address; case does not matter.
    pub search: Option<String>,
}

/// A user with address and card.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    pub id: UserId,
    pub user: User,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub address: Option<Address>,
    pub card: Option<CardRow>,
}

/// The part of a card that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRow {
    pub last4: String,
    pub card_type: String,
    pub expiry_date: NaiveDate,
}

macro_rules! from_users {
    ($columns:literal, $rest:literal) => {
        concat!(
            $columns,
            r"
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
",
            $rest
        )
    };
}

macro_rules! select {
    ($rest:literal) => {
        from_users!(
            r"
SELECT users.id, external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, users.created_at, users.updated_at, street_number,
    street_name, city, state, country, postal_code, card_last4, card_type, expiry_date",
            $rest
        )
    };
}

sql! {
    SAVE_USERS(SourcedUser) = r"
INSERT INTO users AS stored (external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, seen_at, created_at, updated_at)
SELECT external_id, name, username, email, phone, website, company_name, company_catchphrase,
    company_bs, seen_at, written_at, written_at
FROM given WHERE true
ON CONFLICT (external_id) DO UPDATE SET
    name = excluded.name,
    username = excluded.username,
    email = excluded.email,
    phone = excluded.phone,
    website = excluded.website,
    company_name = excluded.company_name,
    company_catchphrase = excluded.company_catchphrase,
    company_bs = excluded.company_bs,
    seen_at = excluded.seen_at,
    updated_at = CASE WHEN (stored.name, stored.username, stored.email, stored.phone,
            stored.website, stored.company_name, stored.company_catchphrase, stored.company_bs)
        IS DISTINCT FROM (excluded.name, excluded.username, excluded.email, excluded.phone,
            excluded.website, excluded.company_name, excluded.company_catchphrase,
            excluded.company_bs)
        THEN excluded.updated_at ELSE stored.updated_at END
WHERE excluded.seen_at >= stored.seen_at
";
    SAVE_ADDRESSES(Enriched<Address>) = r"
INSERT INTO addresses AS stored (user_id, street_number, street_name, city, state, country,
    postal_code, created_at, updated_at)
SELECT user_id, street_number, street_name, city, state, country, postal_code, enriched_at, enriched_at
FROM given WHERE true
ON CONFLICT (user_id) DO UPDATE SET
    street_number = excluded.street_number,
    street_name = excluded.street_name,
    city = excluded.city,
    state = excluded.state,
    country = excluded.country,
    postal_code = excluded.postal_code,
    updated_at = excluded.updated_at
WHERE excluded.updated_at >= stored.updated_at
    AND (stored.street_number, stored.street_name, stored.city, stored.state, stored.country,
        stored.postal_code)
    IS DISTINCT FROM (excluded.street_number, excluded.street_name, excluded.city, excluded.state,
        excluded.country, excluded.postal_code)
";
    SAVE_CARDS(Enriched<Card>) = r"
INSERT INTO credit_cards AS stored (user_id, card_last4, card_type, expiry_date, fingerprint,
    created_at, updated_at)
SELECT user_id, card_last4, card_type, expiry_date, fingerprint, enriched_at, enriched_at
FROM given WHERE true
ON CONFLICT (user_id) DO UPDATE SET
    card_last4 = excluded.card_last4,
    card_type = excluded.card_type,
    expiry_date = excluded.expiry_date,
    fingerprint = excluded.fingerprint,
    updated_at = excluded.updated_at
WHERE excluded.updated_at >= stored.updated_at
    AND (stored.card_last4, stored.card_type, stored.expiry_date, stored.fingerprint)
    IS DISTINCT FROM
        (excluded.card_last4, excluded.card_type, excluded.expiry_date, excluded.fingerprint)
";
    PAGE = select!(r"
WHERE ($3::boolean IS NULL OR (addresses.id IS NOT NULL) = $3)
    AND ($4::boolean IS NULL OR (credit_cards.id IS NOT NULL) = $4)
    AND ($5::bigint IS NULL OR external_id = $5)
    AND ($6::text IS NULL OR
        strpos(lower(name || ' ' || coalesce(username, '') || ' ' || email), lower($6)) > 0)
ORDER BY users.id LIMIT $1 OFFSET $2
");
    COUNT = from_users!("SELECT count(*) AS count", r"
WHERE ($1::boolean IS NULL OR (addresses.id IS NOT NULL) = $1)
    AND ($2::boolean IS NULL OR (credit_cards.id IS NOT NULL) = $2)
    AND ($3::bigint IS NULL OR external_id = $3)
    AND ($4::text IS NULL OR
        strpos(lower(name || ' ' || coalesce(username, '') || ' ' || email), lower($4)) > 0)
");
    ONE = select!("WHERE users.id = $1");
    IDS = "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2";
    WITHOUT_ADDRESS = r"
SELECT id FROM users
WHERE id > $1 AND NOT EXISTS (SELECT 1 FROM addresses WHERE addresses.user_id = users.id)
ORDER BY id LIMIT $2
";
    WITHOUT_CARD = r"
SELECT id FROM users
WHERE id > $1 AND NOT EXISTS (SELECT 1 FROM credit_cards WHERE credit_cards.user_id = users.id)
ORDER BY id LIMIT $2
";
    WITH_ADDRESS = "SELECT user_id AS id FROM addresses WHERE user_id = ANY($1::bigint[])";
    WITH_CARD = "SELECT user_id AS id FROM credit_cards WHERE user_id = ANY($1::bigint[])";
}

given! { SourcedUser as row {
    external_id: bigint = row.user.external_id,
    name: text = &row.user.name,
    username: text = &row.user.username,
    email: text = &row.user.email,
    phone: text = &row.user.phone,
    website: text = &row.user.website,
    company_name: text = &row.user.company_name,
    company_catchphrase: text = &row.user.company_catchphrase,
    company_bs: text = &row.user.company_bs,
    seen_at: timestamptz = row.seen_at,
    written_at: timestamptz = Utc::now(),
} }

given! { Enriched<Address> as row {
    user_id: bigint = row.user_id,
    street_number: text = &row.value.street_number,
    street_name: text = &row.value.street_name,
    city: text = &row.value.city,
    state: text = &row.value.state,
    country: text = &row.value.country,
    postal_code: text = &row.value.postal_code,
    enriched_at: timestamptz = row.enriched_at,
} }

given! { Enriched<Card> as row {
    user_id: bigint = row.user_id,
    card_last4: text = &row.value.last4,
    card_type: text = &row.value.card_type,
    expiry_date: date = row.value.expiry_date,
    fingerprint: text = &row.value.fingerprint,
    enriched_at: timestamptz = row.enriched_at,
} }

row! { User {
    external_id, name, username, email, phone, website, company_name, company_catchphrase,
    company_bs,
} }
row! { Address { street_number, street_name, city, state, country, postal_code } }
row! { CardRow { last4: "card_last4", card_type, expiry_date } }

impl FromRow for UserRow {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        let has_address = row.get::<Option<String>>("street_name")?.is_some();
        let has_card = row.get::<Option<String>>("card_last4")?.is_some();
        Ok(Self {
            id: row.get("id")?,
            user: User::from_row(row)?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            address: has_address.then(|| Address::from_row(row)).transpose()?,
            card: has_card.then(|| CardRow::from_row(row)).transpose()?,
        })
    }
}

impl UserRecords {
    pub(crate) fn batches(&self) -> Vec<Batch<'_>> {
        vec![
            Batch::sorted(&SAVE_USERS, &self.users, |seen| seen.user.external_id),
            Batch::sorted(&SAVE_ADDRESSES, &self.addresses, |found| found.user_id),
            Batch::sorted(&SAVE_CARDS, &self.cards, |found| found.user_id),
        ]
    }
}

impl Store {
    /// Users by ascending id from `offset` on.
    pub async fn users(
        &self,
        filter: &UserFilter,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<UserRow>> {
        let UserFilter { has_address, has_card, external_id, search } = filter;
        let args = args![limit, offset, *has_address, *has_card, *external_id, search];
        self.all(&PAGE, args).await
    }

    /// How many users `filter` selects.
    pub async fn count_users(&self, filter: &UserFilter) -> Result<u64> {
        let UserFilter { has_address, has_card, external_id, search } = filter;
        self.count(&COUNT, args![*has_address, *has_card, *external_id, search]).await
    }

    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        self.one(&ONE, args![id]).await
    }

    /// The users without the enrichment `missing`, or all, by ascending id after `after`.
    pub async fn user_ids(
        &self,
        missing: Option<Enrichment>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>> {
        let sql = match missing {
            None => &IDS,
            Some(Enrichment::Address) => &WITHOUT_ADDRESS,
            Some(Enrichment::Card) => &WITHOUT_CARD,
        };
        self.all(sql, args![after.map_or(i64::MIN, |id| id.0), limit]).await
    }

    /// Those of `ids` that have this enrichment.
    pub async fn users_having(&self, what: Enrichment, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let sql = match what {
            Enrichment::Address => &WITH_ADDRESS,
            Enrichment::Card => &WITH_CARD,
        };
        Ok(self.all(sql, args![ids]).await?.into_iter().collect())
    }
}
