-- Users with an address and a card each, and which pipeline a job or a dead letter belongs to.

ALTER TABLE jobs ADD COLUMN pipeline TEXT NOT NULL DEFAULT 'weather';
ALTER TABLE dead_letters ADD COLUMN pipeline TEXT NOT NULL DEFAULT 'weather';

-- seen_at: when the source said so; an older word never replaces a newer one.
CREATE TABLE users (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    external_id         INTEGER NOT NULL UNIQUE,
    name                TEXT NOT NULL,
    username            TEXT,
    email               TEXT NOT NULL,
    phone               TEXT,
    website             TEXT,
    company_name        TEXT,
    company_catchphrase TEXT,
    company_bs          TEXT,
    seen_at             TEXT NOT NULL,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL
) STRICT;

-- One of each to a user; the unique key finds them, and those who miss one.
CREATE TABLE addresses (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    street_number TEXT,
    street_name   TEXT NOT NULL,
    city          TEXT NOT NULL,
    state         TEXT,
    country       TEXT,
    postal_code   TEXT,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;

-- No column could hold a card's number.
CREATE TABLE credit_cards (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id     INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    card_last4  TEXT NOT NULL CHECK (length(card_last4) = 4),
    card_type   TEXT NOT NULL,
    expiry_date TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
