-- What operators and schedules need: where a task came from, failures by code, ticks, a record of
-- who did what.

-- batch: number of the batch that brought the task; entry: its place in the stream.
ALTER TABLE job_tasks ADD COLUMN batch bigint, ADD COLUMN entry text;

-- Failures by code: rows that succeed pay nothing for it.
CREATE INDEX job_tasks_failures ON job_tasks (error_code) WHERE status = 'failed';

-- Dead letters of a task, for its retry.
CREATE INDEX dead_letters_task ON dead_letters (task_id);
-- Dead letters of a code, of a job, of a city, each newest first.
CREATE INDEX dead_letters_code ON dead_letters (code, id);
CREATE INDEX dead_letters_job ON dead_letters (job_id, id);
CREATE INDEX dead_letters_city ON dead_letters (city_id, id);

-- One row per firing of a schedule: its key decides who fires, its lease when another may take over.
CREATE TABLE schedule_ticks (
    schedule    text NOT NULL,
    tick        timestamptz NOT NULL,
    owner       text NOT NULL,
    lease_until timestamptz NOT NULL,
    started_at  timestamptz NOT NULL,
    done_at     timestamptz,
    outcome     text,
    detail      text,
    job_id      uuid,
    PRIMARY KEY (schedule, tick)
);

-- One run of a schedule at a time, however many claim: what is unfinished is in the others' way.
CREATE UNIQUE INDEX schedule_ticks_unfinished ON schedule_ticks (schedule) WHERE done_at IS NULL;

-- Ticks that are old enough to go.
CREATE INDEX schedule_ticks_done ON schedule_ticks (done_at);

-- Who did what, and when.
CREATE TABLE operations (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text,
    detail  text
);

-- Operations that are old enough to go.
CREATE INDEX operations_time ON operations (at);
