-- The job of each Idempotency-Key, for all hosts.

CREATE TABLE import_keys (
    key        TEXT PRIMARY KEY,
    job_id     TEXT NOT NULL,
    name       TEXT NOT NULL,
    claimed_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that may have expired.
CREATE INDEX import_keys_claimed ON import_keys (claimed_at);
