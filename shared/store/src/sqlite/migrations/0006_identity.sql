-- Which store this is, among those that workers of a stream could write to: one row.
CREATE TABLE installation (
    id         TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
INSERT INTO installation (id, created_at)
VALUES (lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
