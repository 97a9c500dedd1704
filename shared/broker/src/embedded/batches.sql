-- What is known of the appended batches until they are confirmed. The two lanes of a batch share one
-- span of ids.
CREATE TABLE batches (
    topic_id INTEGER NOT NULL REFERENCES topics ON DELETE CASCADE,
    job_id   TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    hash     TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_id  INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    acked    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, job_id, seq)
) STRICT, WITHOUT ROWID;
-- To find the batch of an entry.
CREATE INDEX batches_by_span ON batches (topic_id, first_id, last_id) WHERE size > 0;

-- The outbox that publishes the job, when it was last heard of, the rows of the whole list once it is
-- published to its end, and when the job ended.
ALTER TABLE watermarks ADD COLUMN outbox TEXT NOT NULL DEFAULT '';
ALTER TABLE watermarks ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE watermarks ADD COLUMN total INTEGER;
ALTER TABLE watermarks ADD COLUMN ended_ms INTEGER;
CREATE INDEX watermarks_ended ON watermarks (ended_ms) WHERE ended_ms IS NOT NULL;

-- The store that the workers of a stream write to.
CREATE TABLE stores (
    stream TEXT PRIMARY KEY,
    store  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE watermarks DROP COLUMN tasks_first;
ALTER TABLE watermarks DROP COLUMN tasks_last;
ALTER TABLE watermarks DROP COLUMN control_first;
ALTER TABLE watermarks DROP COLUMN control_last;
ALTER TABLE watermarks DROP COLUMN last_task;
ALTER TABLE watermarks DROP COLUMN last_control;
