-- Why the source of a job failed: a code, and one sentence.
ALTER TABLE jobs ADD COLUMN error_code text;
ALTER TABLE jobs ADD COLUMN error_detail text;
