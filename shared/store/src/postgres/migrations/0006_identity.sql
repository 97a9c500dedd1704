-- Which store this is, among those that workers of a stream could write to: one row.
CREATE TABLE installation (
    id         text NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO installation (id, created_at) VALUES (gen_random_uuid()::text, now());
