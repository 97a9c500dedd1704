-- The tables of the PostgreSQL store, for one host. Times are RFC 3339 in UTC with milliseconds,
-- which sort as they follow each other; ids are canonical lower-case UUIDs.

-- City, state and snapshot are one row, so that a task writes one city row and one ledger row.
-- INT, not INTEGER: the row then lies where it came in and not by its id. A refresh comes in the
-- same order, so its cities lie together and a commit writes far fewer pages.
CREATE TABLE cities (
    id                INT NOT NULL PRIMARY KEY,
    name              TEXT NOT NULL,
    name_key          TEXT NOT NULL,
    country_code      TEXT,
    admin1_code       TEXT,
    latitude          REAL,
    longitude         REAL,
    population        INTEGER,
    last_refreshed_at TEXT,
    last_status       TEXT NOT NULL CHECK (last_status IN ('success', 'failed', 'pending')),
    last_error        TEXT,
    temperature       REAL,
    windspeed         REAL,
    winddirection     INTEGER,
    weathercode       INTEGER,
    humidity          INTEGER,
    "time"            TEXT,
    observed_at       TEXT,
    fresh_until       TEXT,
    synced_at         TEXT,
    raw_payload       TEXT
) STRICT;

-- Cities by name, as names compare; the key is empty where the name is not known.
CREATE INDEX cities_name ON cities (name_key);

CREATE VIEW weather AS
SELECT id AS city_id, name AS city_name, latitude, longitude, temperature, windspeed,
       winddirection, weathercode, humidity, "time", observed_at, raw_payload, synced_at
FROM cities
WHERE observed_at IS NOT NULL;

-- Names under which the geocoder found a city; country_code is that of the question, or ''.
CREATE TABLE city_names (
    name_key     TEXT NOT NULL,
    country_code TEXT NOT NULL,
    city_id      INTEGER NOT NULL REFERENCES cities,
    PRIMARY KEY (name_key, country_code, city_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX city_names_city ON city_names (city_id);

-- known: kind, source and created_at are the job's own, not placeholders until its open comes.
-- sealed: how its source ended. ledger: whether its rows are kept, being pruned, or gone.
CREATE TABLE jobs (
    job_id      TEXT PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('sync', 'import', 'produce')),
    source      TEXT NOT NULL,
    status      TEXT NOT NULL
        CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelling', 'cancelled')),
    total       INTEGER,
    processed   INTEGER NOT NULL DEFAULT 0,
    succeeded   INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    duplicates  INTEGER NOT NULL DEFAULT 0,
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    known       INTEGER NOT NULL,
    sealed      TEXT CHECK (sealed IN ('complete', 'failed', 'cancelled')),
    ledger      TEXT NOT NULL DEFAULT 'kept' CHECK (ledger IN ('kept', 'going', 'gone'))
) STRICT, WITHOUT ROWID;

-- Jobs, newest first.
CREATE INDEX jobs_created ON jobs (created_at, job_id);
-- Jobs whose rows are old enough to go.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE ledger <> 'gone';

-- The ledger, with a rowid for the same reason. rank is where a row stands in pages: by number, those without one last.
CREATE TABLE job_tasks (
    job_id      TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    try         INTEGER NOT NULL,
    "row"       INTEGER,
    city_id     INTEGER,
    city        TEXT,
    status      TEXT NOT NULL CHECK (status IN ('success', 'failed', 'skipped')),
    error_code  TEXT,
    last_error  TEXT,
    attempts    INTEGER NOT NULL,
    input       TEXT,
    finished_at TEXT NOT NULL,
    rejected    INTEGER NOT NULL,
    rank        INTEGER NOT NULL
        GENERATED ALWAYS AS (coalesce("row", 9223372036854775807)) VIRTUAL,
    PRIMARY KEY (job_id, task_id)
) STRICT;

-- Pages of results of one status in the order of their rows.
CREATE INDEX job_tasks_pages ON job_tasks (job_id, status, rank, task_id);

CREATE TABLE search_history (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    city_name   TEXT NOT NULL,
    "timestamp" TEXT NOT NULL
) STRICT;

-- Searches that are old enough to go.
CREATE INDEX search_history_time ON search_history ("timestamp");

-- source: which entry it was, so that a repeated commit adds no second one.
CREATE TABLE dead_letters (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id    TEXT,
    job_id     TEXT,
    city_id    INTEGER,
    code       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    payload    BLOB NOT NULL,
    deliveries INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen  TEXT NOT NULL,
    source     TEXT NOT NULL UNIQUE
) STRICT;
