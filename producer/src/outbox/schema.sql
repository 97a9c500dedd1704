-- One row per job of this outbox; `state` is extracting, sealed, done or conflicted.
CREATE TABLE jobs (
    key INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    slot TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The pipeline whose stream its batches go to.
    stream TEXT NOT NULL,
    -- The name of the source for people, and what a process needs to open it again (JSON).
    source TEXT NOT NULL,
    spec TEXT NOT NULL,
    cursor TEXT,
    state TEXT NOT NULL DEFAULT 'extracting',
    outcome TEXT,
    error TEXT,
    total INTEGER NOT NULL DEFAULT 0,
    tasks INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,
    last_hash TEXT NOT NULL DEFAULT '',
    -- Every batch up to this one is confirmed and pruned.
    confirmed_seq INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    finished_at_ms INTEGER
) STRICT;
-- To resume: the unsealed job of an identity.
CREATE INDEX jobs_by_identity ON jobs (identity, state);
-- For the relay: the jobs that are not done.
CREATE INDEX jobs_by_state ON jobs (state);

-- A frozen batch (I2); its payload is one line per task, then one per control message, each a
-- JSON array.
CREATE TABLE batches (
    key INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (key),
    seq INTEGER NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    n_tasks INTEGER NOT NULL,
    n_control INTEGER NOT NULL,
    -- Present once it was sent.
    receipt TEXT
) STRICT;
-- Apart, because it is large: marking a batch as sent must not rewrite it.
CREATE TABLE payloads (
    batch INTEGER PRIMARY KEY REFERENCES batches (key),
    payload TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX batches_by_seq ON batches (job, seq);
-- Unsent batches, without reading payloads.
CREATE INDEX batches_unsent ON batches (job, seq, n_tasks) WHERE receipt IS NULL;

-- Keys that a job has seen: sorted, and as they came until they are compacted.
CREATE TABLE seen (
    job INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen_lately (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

-- Failures of sources: the circuit breaker that all runs share.
CREATE TABLE source_failures (
    host TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX source_failures_by_time ON source_failures (host, at_ms);
