-- Rows that came for a job after it had ended: they are counted, and stored nowhere.
ALTER TABLE jobs ADD COLUMN late_rows bigint NOT NULL DEFAULT 0;
-- The last retry: retention counts from then on.
ALTER TABLE jobs ADD COLUMN retried_at timestamptz;
