-- A confirmed batch is kept for some time: the store may lose what it had acknowledged.
ALTER TABLE batches ADD COLUMN confirmed_at_ms INTEGER;
CREATE INDEX batches_kept ON batches (confirmed_at_ms) WHERE confirmed_at_ms IS NOT NULL;
