//! Users, addresses and cards: upserts on their natural keys, and what is asked of them.
//!
//! I4: what a source said earlier never replaces what it said later. A repeat changes nothing, not
//! even `updated_at`, which tells when something last became different.

use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{PostgresStore, column};
use crate::ledger::bounded;
use crate::{CardRow, Found, People, Result, SeenUser, UserFilter, UserRow};
use isobar_model::ids::UserId;
use isobar_model::pipeline::Enrichment;
use isobar_model::user::{Address, Card, User};

sql! {
    USERS = r"
INSERT INTO users AS stored (external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, seen_at, created_at, updated_at)
SELECT external_id, name, username, email, phone, website, company_name, company_catchphrase,
    company_bs, seen_at, $11, $11
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::timestamptz[])
    AS given (external_id, name, username, email, phone, website, company_name,
        company_catchphrase, company_bs, seen_at)
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
    ADDRESSES = r"
INSERT INTO addresses AS stored (user_id, street_number, street_name, city, state, country,
    postal_code, created_at, updated_at)
SELECT user_id, street_number, street_name, city, state, country, postal_code, found_at, found_at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::timestamptz[])
    AS given (user_id, street_number, street_name, city, state, country, postal_code, found_at)
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
    CARDS = r"
INSERT INTO credit_cards AS stored (user_id, card_last4, card_type, expiry_date, fingerprint,
    created_at, updated_at)
SELECT user_id, card_last4, card_type, expiry_date, fingerprint, found_at, found_at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::date[], $5::text[], $6::timestamptz[])
    AS given (user_id, card_last4, card_type, expiry_date, fingerprint, found_at)
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
    PAGE = r"
SELECT users.id, external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, users.created_at, users.updated_at, street_number,
    street_name, city, state, country, postal_code, card_last4, card_type, expiry_date
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE ($3::boolean IS NULL OR (addresses.id IS NOT NULL) = $3)
    AND ($4::boolean IS NULL OR (credit_cards.id IS NOT NULL) = $4)
    AND ($5::bigint IS NULL OR external_id = $5)
    AND ($6::text IS NULL OR position(lower($6) IN
        lower(name || ' ' || coalesce(username, '') || ' ' || email)) > 0)
ORDER BY users.id LIMIT $1 OFFSET $2
";
    COUNT = r"
SELECT count(*)
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE ($1::boolean IS NULL OR (addresses.id IS NOT NULL) = $1)
    AND ($2::boolean IS NULL OR (credit_cards.id IS NOT NULL) = $2)
    AND ($3::bigint IS NULL OR external_id = $3)
    AND ($4::text IS NULL OR position(lower($4) IN
        lower(name || ' ' || coalesce(username, '') || ' ' || email)) > 0)
";
    ONE = r"
SELECT users.id, external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, users.created_at, users.updated_at, street_number,
    street_name, city, state, country, postal_code, card_last4, card_type, expiry_date
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE users.id = $1
";
    IDS = "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2";
    WITHOUT_ADDRESS = r"
SELECT id FROM users
WHERE id > $1 AND NOT EXISTS (SELECT FROM addresses WHERE addresses.user_id = users.id)
ORDER BY id LIMIT $2
";
    WITHOUT_CARD = r"
SELECT id FROM users
WHERE id > $1 AND NOT EXISTS (SELECT FROM credit_cards WHERE credit_cards.user_id = users.id)
ORDER BY id LIMIT $2
";
    WITH_ADDRESS = "SELECT user_id FROM addresses WHERE user_id = ANY($1::bigint[])";
    WITH_CARD = "SELECT user_id FROM credit_cards WHERE user_id = ANY($1::bigint[])";
}

pub(super) async fn write(tx: &mut PgConnection, people: &People) -> sqlx::Result<()> {
    let (users, addresses, cards) = people.sorted();
    if !users.is_empty() {
        write_users(tx, &users).await?;
    }
    if !addresses.is_empty() {
        write_addresses(tx, &addresses).await?;
    }
    if !cards.is_empty() {
        write_cards(tx, &cards).await?;
    }
    Ok(())
}

async fn write_users(tx: &mut PgConnection, rows: &[&SeenUser]) -> sqlx::Result<()> {
    sqlx::query(USERS)
        .bind(column(rows, |row| row.user.external_id))
        .bind(column(rows, |row| row.user.name.as_str()))
        .bind(column(rows, |row| row.user.username.as_deref()))
        .bind(column(rows, |row| row.user.email.as_str()))
        .bind(column(rows, |row| row.user.phone.as_deref()))
        .bind(column(rows, |row| row.user.website.as_deref()))
        .bind(column(rows, |row| row.user.company_name.as_deref()))
        .bind(column(rows, |row| row.user.company_catchphrase.as_deref()))
        .bind(column(rows, |row| row.user.company_bs.as_deref()))
        .bind(column(rows, |row| row.seen_at))
        .bind(chrono::Utc::now())
        .execute(tx)
        .await
        .map(drop)
}

async fn write_addresses(tx: &mut PgConnection, rows: &[&Found<Address>]) -> sqlx::Result<()> {
    sqlx::query(ADDRESSES)
        .bind(column(rows, |row| row.user_id.0))
        .bind(column(rows, |row| row.what.street_number.as_deref()))
        .bind(column(rows, |row| row.what.street_name.as_str()))
        .bind(column(rows, |row| row.what.city.as_str()))
        .bind(column(rows, |row| row.what.state.as_deref()))
        .bind(column(rows, |row| row.what.country.as_deref()))
        .bind(column(rows, |row| row.what.postal_code.as_deref()))
        .bind(column(rows, |row| row.found_at))
        .execute(tx)
        .await
        .map(drop)
}

async fn write_cards(tx: &mut PgConnection, rows: &[&Found<Card>]) -> sqlx::Result<()> {
    sqlx::query(CARDS)
        .bind(column(rows, |row| row.user_id.0))
        .bind(column(rows, |row| row.what.last4.as_str()))
        .bind(column(rows, |row| row.what.card_type.as_str()))
        .bind(column(rows, |row| row.what.expiry_date))
        .bind(column(rows, |row| row.what.fingerprint.as_str()))
        .bind(column(rows, |row| row.found_at))
        .execute(tx)
        .await
        .map(drop)
}

impl PostgresStore {
    pub async fn users(
        &self,
        filter: &UserFilter,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<UserRow>> {
        sqlx::query(PAGE)
            .bind(i64::from(limit))
            .bind(bounded(offset))
            .bind(filter.has_address)
            .bind(filter.has_card)
            .bind(filter.external_id)
            .bind(filter.search.as_deref())
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn count_users(&self, filter: &UserFilter) -> Result<u64> {
        sqlx::query_scalar::<_, i64>(COUNT)
            .bind(filter.has_address)
            .bind(filter.has_card)
            .bind(filter.external_id)
            .bind(filter.search.as_deref())
            .fetch_one(&self.pool)
            .await
            .map(|count| count as u64)
            .map_err(|error| self.failed(error))
    }

    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        sqlx::query(ONE)
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.as_ref().map(read).transpose())
            .map_err(|error| self.failed(error))
    }

    pub async fn user_ids(
        &self,
        missing: Option<Enrichment>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>> {
        let statement = match missing {
            None => IDS,
            Some(Enrichment::Address) => WITHOUT_ADDRESS,
            Some(Enrichment::Card) => WITHOUT_CARD,
        };
        sqlx::query_scalar::<_, i64>(statement)
            .bind(after.map_or(i64::MIN, |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map(|ids| ids.into_iter().map(UserId).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn users_with(&self, what: Enrichment, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let statement = match what {
            Enrichment::Address => WITH_ADDRESS,
            Enrichment::Card => WITH_CARD,
        };
        sqlx::query_scalar::<_, i64>(statement)
            .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await
            .map(|ids| ids.into_iter().map(UserId).collect())
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<UserRow> {
    let street_name: Option<String> = row.try_get("street_name")?;
    let last4: Option<String> = row.try_get("card_last4")?;
    Ok(UserRow {
        id: UserId(row.try_get("id")?),
        user: User {
            external_id: row.try_get("external_id")?,
            name: row.try_get("name")?,
            username: row.try_get("username")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            website: row.try_get("website")?,
            company_name: row.try_get("company_name")?,
            company_catchphrase: row.try_get("company_catchphrase")?,
            company_bs: row.try_get("company_bs")?,
        },
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        address: match street_name {
            None => None,
            Some(street_name) => Some(Address {
                street_number: row.try_get("street_number")?,
                street_name,
                city: row.try_get("city")?,
                state: row.try_get("state")?,
                country: row.try_get("country")?,
                postal_code: row.try_get("postal_code")?,
            }),
        },
        card: match last4 {
            None => None,
            Some(last4) => Some(CardRow {
                last4,
                card_type: row.try_get("card_type")?,
                expiry_date: row.try_get("expiry_date")?,
            }),
        },
    })
}
