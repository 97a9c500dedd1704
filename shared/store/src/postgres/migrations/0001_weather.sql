-- City, state and snapshot are one row, so that a task writes one city row and one ledger row.
-- No index has a column that changes with a fetch, and pages keep room for the next version of
-- their rows: such updates stay in their page and touch no index (HOT).
CREATE TABLE cities (
    id                bigint PRIMARY KEY,
    name              text NOT NULL,
    name_key          text NOT NULL,
    country_code      text,
    admin1_code       text,
    latitude          double precision,
    longitude         double precision,
    population        bigint,
    last_refreshed_at timestamptz,
    last_status       text NOT NULL CHECK (last_status IN ('success', 'failed', 'pending')),
    last_error        text,
    temperature       double precision,
    windspeed         double precision,
    winddirection     integer,
    weathercode       integer,
    humidity          integer,
    "time"            text,
    observed_at       timestamptz,
    fresh_until       timestamptz,
    synced_at         timestamptz,
    raw_payload       text
) WITH (fillfactor = 50);

-- Cities by name, as names compare; the key is empty where the name is not known.
CREATE INDEX cities_name ON cities (name_key);

CREATE VIEW weather AS
SELECT id AS city_id, name AS city_name, latitude, longitude, temperature, windspeed,
       winddirection, weathercode, humidity, "time", observed_at, raw_payload, synced_at
FROM cities
WHERE observed_at IS NOT NULL;

-- Names under which the geocoder found a city; country_code is that of the question, or ''.
CREATE TABLE city_names (
    name_key     text NOT NULL,
    country_code text NOT NULL,
    city_id      bigint NOT NULL REFERENCES cities,
    PRIMARY KEY (name_key, country_code, city_id)
);
CREATE INDEX city_names_city ON city_names (city_id);

-- known: kind, source and created_at are the job's own, not placeholders until its open comes.
-- sealed: how its source ended. ledger: whether its rows are kept, being pruned, or gone.
CREATE TABLE jobs (
    job_id      uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('sync', 'import', 'produce')),
    source      text NOT NULL,
    status      text NOT NULL
        CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelling', 'cancelled')),
    total       bigint,
    processed   bigint NOT NULL DEFAULT 0,
    succeeded   bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    rejected    bigint NOT NULL DEFAULT 0,
    duplicates  bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz,
    known       boolean NOT NULL,
    sealed      text CHECK (sealed IN ('complete', 'failed', 'cancelled')),
    ledger      text NOT NULL DEFAULT 'kept' CHECK (ledger IN ('kept', 'going', 'gone'))
) WITH (fillfactor = 50);

-- Jobs, newest first.
CREATE INDEX jobs_created ON jobs (created_at, job_id);
-- Jobs whose rows are old enough to go.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE ledger <> 'gone';

-- The ledger: no reference to jobs, a check for every row would cost more than the row. The job's
-- row is written in the same transaction.
CREATE TABLE job_tasks (
    job_id      uuid NOT NULL,
    task_id     uuid NOT NULL,
    try         integer NOT NULL,
    "row"       bigint,
    city_id     bigint,
    city        text,
    status      text NOT NULL CHECK (status IN ('success', 'failed', 'skipped')),
    error_code  text,
    last_error  text,
    attempts    integer NOT NULL,
    input       text,
    finished_at timestamptz NOT NULL,
    rejected    boolean NOT NULL,
    PRIMARY KEY (job_id, task_id)
);

-- Pages of results of one status in the order of their rows, those without a number last.
CREATE INDEX job_tasks_pages ON job_tasks
    (job_id, status, (coalesce("row", 9223372036854775807)), task_id);

CREATE TABLE search_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    city_name   text NOT NULL,
    "timestamp" timestamptz NOT NULL
);

-- Searches that are old enough to go.
CREATE INDEX search_history_time ON search_history ("timestamp");

-- source: which entry it was, so that a repeated commit adds no second one.
CREATE TABLE dead_letters (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id    uuid,
    job_id     uuid,
    city_id    bigint,
    code       text NOT NULL,
    reason     text NOT NULL,
    payload    bytea NOT NULL,
    deliveries integer NOT NULL,
    attempts   integer NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    source     text NOT NULL UNIQUE
);
