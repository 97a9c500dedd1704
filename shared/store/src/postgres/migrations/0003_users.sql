-- Users with an address and a card each, and which pipeline a job or a dead letter belongs to.

ALTER TABLE jobs ADD COLUMN pipeline text NOT NULL DEFAULT 'weather';
ALTER TABLE dead_letters ADD COLUMN pipeline text NOT NULL DEFAULT 'weather';

-- seen_at: when the source said so; an older word never replaces a newer one.
CREATE TABLE users (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id         bigint NOT NULL UNIQUE,
    name                text NOT NULL,
    username            text,
    email               text NOT NULL,
    phone               text,
    website             text,
    company_name        text,
    company_catchphrase text,
    company_bs          text,
    seen_at             timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);

-- One of each to a user; the unique key finds them, and those who miss one.
CREATE TABLE addresses (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       bigint NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    street_number text,
    street_name   text NOT NULL,
    city          text NOT NULL,
    state         text,
    country       text,
    postal_code   text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);

-- No column could hold a card's number.
CREATE TABLE credit_cards (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     bigint NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    card_last4  text NOT NULL CHECK (length(card_last4) = 4),
    card_type   text NOT NULL,
    expiry_date date NOT NULL,
    fingerprint text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
