-- Whether a batch of the job was ever in the stream, which may have lost it since.
ALTER TABLE jobs ADD COLUMN was_published INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET was_published = 1
WHERE confirmed_seq > 0 OR EXISTS (SELECT 1 FROM batches WHERE job = jobs.key AND receipt IS NOT NULL);
