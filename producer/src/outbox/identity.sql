-- Which outbox this is, among those that publish to a stream: one row.
CREATE TABLE outbox (
    id TEXT NOT NULL
) STRICT;
