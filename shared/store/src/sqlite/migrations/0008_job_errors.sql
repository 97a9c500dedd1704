-- Why the source of a job failed: a code, and one sentence.
ALTER TABLE jobs ADD COLUMN error_code TEXT;
ALTER TABLE jobs ADD COLUMN error_detail TEXT;
