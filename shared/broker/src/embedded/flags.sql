-- Operator flags, keyed by the stream's name: a flag can be set before the topic exists.
CREATE TABLE switches (
    stream TEXT NOT NULL,
    name   TEXT NOT NULL,
    -- Who set it, and when (JSON).
    thrown TEXT NOT NULL,
    PRIMARY KEY (stream, name)
) STRICT, WITHOUT ROWID;
