-- The job of each Idempotency-Key, for all hosts.

CREATE TABLE import_keys (
    key        text PRIMARY KEY,
    job_id     uuid NOT NULL,
    name       text NOT NULL,
    claimed_at timestamptz NOT NULL
);

-- Keys that may have expired.
CREATE INDEX import_keys_claimed ON import_keys (claimed_at);
