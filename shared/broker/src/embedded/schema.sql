-- The embedded broker's file. One row of topics is what a stream with its group is in Redis. Times
-- are milliseconds since 1970 by this host's clock.

CREATE TABLE topics (
    topic_id INTEGER PRIMARY KEY,
    stream   TEXT NOT NULL UNIQUE,
    epoch    TEXT NOT NULL,
    -- An id is never used twice, even after its entry is deleted: records of batches name ids.
    next_id  INTEGER NOT NULL DEFAULT 1,
    -- Unfinished entries of each lane, updated with them: counting a full stream takes too long.
    tasks    INTEGER NOT NULL DEFAULT 0,
    control  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE entries (
    topic_id    INTEGER NOT NULL REFERENCES topics ON DELETE CASCADE,
    lane        INTEGER NOT NULL,
    id          INTEGER NOT NULL,
    -- A JSON array of names and values in turn, as it was appended.
    fields      TEXT NOT NULL,
    appended_ms INTEGER NOT NULL,
    -- NULL until the first delivery, set ever after.
    owner       TEXT,
    -- Since when the owner is silent.
    since_ms    INTEGER NOT NULL DEFAULT 0,
    deliveries  INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, lane, id)
) STRICT, WITHOUT ROWID;

-- Both indexes contain the owner, so SQLite answers from the index without reading the row.
-- For read.
CREATE INDEX undelivered ON entries (topic_id, lane, id, owner) WHERE owner IS NULL;
-- For claim, depth and the entries of a consumer.
CREATE INDEX pending ON entries (topic_id, lane, since_ms, deliveries, owner) WHERE owner IS NOT NULL;

CREATE TABLE watermarks (
    topic_id      INTEGER NOT NULL REFERENCES topics ON DELETE CASCADE,
    job_id        TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    hash          TEXT NOT NULL,
    -- The last batch in each lane; NULL where it had nothing for the lane.
    tasks_first   INTEGER,
    tasks_last    INTEGER,
    control_first INTEGER,
    control_last  INTEGER,
    -- The last entry of this job in each lane, of any batch.
    last_task     INTEGER,
    last_control  INTEGER,
    PRIMARY KEY (topic_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE consumers (
    topic_id INTEGER NOT NULL REFERENCES topics ON DELETE CASCADE,
    name     TEXT NOT NULL,
    seen_ms  INTEGER NOT NULL,
    PRIMARY KEY (topic_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE cache (
    key        TEXT PRIMARY KEY,
    value      BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- To delete expired values and to count the others.
CREATE INDEX cache_by_expiry ON cache (expires_ms);

CREATE TABLE quota (
    host          TEXT PRIMARY KEY,
    minute_index  INTEGER NOT NULL,
    minute        INTEGER NOT NULL,
    hour_index    INTEGER NOT NULL,
    hour          INTEGER NOT NULL,
    day_index     INTEGER NOT NULL,
    day           INTEGER NOT NULL,
    shut_until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE slots (
    host       TEXT NOT NULL,
    holder     TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (host, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE heartbeats (
    name       TEXT PRIMARY KEY,
    state      TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
