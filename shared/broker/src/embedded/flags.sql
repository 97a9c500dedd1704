-- What operators have switched: by the stream's name, as it may be thrown before there is a topic.
CREATE TABLE switches (
    stream TEXT NOT NULL,
    name   TEXT NOT NULL,
    -- By whom and when (JSON).
    thrown TEXT NOT NULL,
    PRIMARY KEY (stream, name)
) STRICT, WITHOUT ROWID;
