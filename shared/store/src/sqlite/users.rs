//! Users, addresses and cards: upserts on their natural keys, and what is asked of them.
//!
//! I4: what a source said earlier never replaces what it said later. A repeat changes nothing, not
//! even `updated_at`, which tells when something last became different.

use std::collections::HashSet;

use chrono::Utc;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::SqliteStore;
use super::columns::{Day, Time};
use crate::ledger::bounded;
use crate::{CardRow, People, Result, UserFilter, UserRow};
use isobar_model::ids::UserId;
use isobar_model::pipeline::Enrichment;
use isobar_model::user::{Address, User};

sql! {
    USER = r"
INSERT INTO users AS stored (external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, seen_at, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
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
        IS NOT (excluded.name, excluded.username, excluded.email, excluded.phone,
            excluded.website, excluded.company_name, excluded.company_catchphrase,
            excluded.company_bs)
        THEN excluded.updated_at ELSE stored.updated_at END
WHERE excluded.seen_at >= stored.seen_at
";
    ADDRESS = r"
INSERT INTO addresses AS stored (user_id, street_number, street_name, city, state, country,
    postal_code, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
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
    IS NOT (excluded.street_number, excluded.street_name, excluded.city, excluded.state,
        excluded.country, excluded.postal_code)
";
    CARD = r"
INSERT INTO credit_cards AS stored (user_id, card_last4, card_type, expiry_date, fingerprint,
    created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
ON CONFLICT (user_id) DO UPDATE SET
    card_last4 = excluded.card_last4,
    card_type = excluded.card_type,
    expiry_date = excluded.expiry_date,
    fingerprint = excluded.fingerprint,
    updated_at = excluded.updated_at
WHERE excluded.updated_at >= stored.updated_at
    AND (stored.card_last4, stored.card_type, stored.expiry_date, stored.fingerprint)
    IS NOT (excluded.card_last4, excluded.card_type, excluded.expiry_date, excluded.fingerprint)
";
    PAGE = r"
SELECT users.id, external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, users.created_at, users.updated_at, street_number,
    street_name, city, state, country, postal_code, card_last4, card_type, expiry_date
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE (?3 IS NULL OR (addresses.id IS NOT NULL) = ?3)
    AND (?4 IS NULL OR (credit_cards.id IS NOT NULL) = ?4)
    AND (?5 IS NULL OR external_id = ?5)
    AND (?6 IS NULL OR instr(
        lower(name || ' ' || coalesce(username, '') || ' ' || email), lower(?6)) > 0)
ORDER BY users.id LIMIT ?1 OFFSET ?2
";
    COUNT = r"
SELECT count(*)
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE (?1 IS NULL OR (addresses.id IS NOT NULL) = ?1)
    AND (?2 IS NULL OR (credit_cards.id IS NOT NULL) = ?2)
    AND (?3 IS NULL OR external_id = ?3)
    AND (?4 IS NULL OR instr(
        lower(name || ' ' || coalesce(username, '') || ' ' || email), lower(?4)) > 0)
";
    ONE = r"
SELECT users.id, external_id, name, username, email, phone, website, company_name,
    company_catchphrase, company_bs, users.created_at, users.updated_at, street_number,
    street_name, city, state, country, postal_code, card_last4, card_type, expiry_date
FROM users
    LEFT JOIN addresses ON addresses.user_id = users.id
    LEFT JOIN credit_cards ON credit_cards.user_id = users.id
WHERE users.id = ?1
";
    IDS = "SELECT id FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
    WITHOUT_ADDRESS = r"
SELECT id FROM users
WHERE id > ?1 AND NOT EXISTS (SELECT 1 FROM addresses WHERE addresses.user_id = users.id)
ORDER BY id LIMIT ?2
";
    WITHOUT_CARD = r"
SELECT id FROM users
WHERE id > ?1 AND NOT EXISTS (SELECT 1 FROM credit_cards WHERE credit_cards.user_id = users.id)
ORDER BY id LIMIT ?2
";
    WITH_ADDRESS = "SELECT user_id FROM addresses WHERE user_id = ?1";
    WITH_CARD = "SELECT user_id FROM credit_cards WHERE user_id = ?1";
}

pub(super) fn write(tx: &Transaction<'_>, people: &People) -> rusqlite::Result<()> {
    let (users, addresses, cards) = people.sorted();
    let now = Time(Utc::now());
    let mut user = tx.prepare_cached(USER)?;
    for row in users {
        user.execute(params![
            row.user.external_id,
            row.user.name,
            row.user.username,
            row.user.email,
            row.user.phone,
            row.user.website,
            row.user.company_name,
            row.user.company_catchphrase,
            row.user.company_bs,
            Time(row.seen_at),
            now,
        ])?;
    }
    let mut address = tx.prepare_cached(ADDRESS)?;
    for row in addresses {
        address.execute(params![
            row.user_id.0,
            row.what.street_number,
            row.what.street_name,
            row.what.city,
            row.what.state,
            row.what.country,
            row.what.postal_code,
            Time(row.found_at),
        ])?;
    }
    let mut card = tx.prepare_cached(CARD)?;
    for row in cards {
        card.execute(params![
            row.user_id.0,
            row.what.last4,
            row.what.card_type,
            Day(row.what.expiry_date),
            row.what.fingerprint,
            Time(row.found_at),
        ])?;
    }
    Ok(())
}

impl SqliteStore {
    pub async fn users(
        &self,
        filter: &UserFilter,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<UserRow>> {
        let UserFilter { has_address, has_card, external_id, search } = filter.clone();
        let offset = bounded(offset);
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(
                    params![limit, offset, has_address, has_card, external_id, search],
                    read,
                )?
                .collect()
        })
        .await
    }

    pub async fn count_users(&self, filter: &UserFilter) -> Result<u64> {
        let UserFilter { has_address, has_card, external_id, search } = filter.clone();
        self.read(move |db| {
            db.prepare_cached(COUNT)?
                .query_row(params![has_address, has_card, external_id, search], |row| {
                    row.get::<_, i64>(0).map(|count| count as u64)
                })
        })
        .await
    }

    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        self.read(move |db| db.prepare_cached(ONE)?.query_row([id.0], read).optional()).await
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
        let after = after.map_or(i64::MIN, |id| id.0);
        self.read(move |db| {
            db.prepare_cached(statement)?
                .query_map(params![after, limit], |row| row.get(0).map(UserId))?
                .collect()
        })
        .await
    }

    pub async fn users_with(&self, what: Enrichment, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let statement = match what {
            Enrichment::Address => WITH_ADDRESS,
            Enrichment::Card => WITH_CARD,
        };
        let ids = ids.to_vec();
        self.read(move |db| {
            let mut with = db.prepare_cached(statement)?;
            let mut found = HashSet::new();
            for id in ids {
                if with.exists([id.0])? {
                    found.insert(id);
                }
            }
            Ok(found)
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    let street_name: Option<String> = row.get("street_name")?;
    let last4: Option<String> = row.get("card_last4")?;
    Ok(UserRow {
        id: UserId(row.get("id")?),
        user: User {
            external_id: row.get("external_id")?,
            name: row.get("name")?,
            username: row.get("username")?,
            email: row.get("email")?,
            phone: row.get("phone")?,
            website: row.get("website")?,
            company_name: row.get("company_name")?,
            company_catchphrase: row.get("company_catchphrase")?,
            company_bs: row.get("company_bs")?,
        },
        created_at: row.get::<_, Time>("created_at")?.0,
        updated_at: row.get::<_, Time>("updated_at")?.0,
        address: match street_name {
            None => None,
            Some(street_name) => Some(Address {
                street_number: row.get("street_number")?,
                street_name,
                city: row.get("city")?,
                state: row.get("state")?,
                country: row.get("country")?,
                postal_code: row.get("postal_code")?,
            }),
        },
        card: match last4 {
            None => None,
            Some(last4) => Some(CardRow {
                last4,
                card_type: row.get("card_type")?,
                expiry_date: row.get::<_, Day>("expiry_date")?.0,
            }),
        },
    })
}
