-- How often an entry ended the process that tried it alone.
ALTER TABLE entries ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
