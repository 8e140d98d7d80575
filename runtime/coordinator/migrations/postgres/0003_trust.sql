-- A version's manifest with the signatures of release keys, as `sanderling sign` wrote it.
ALTER TABLE models ADD COLUMN manifest BYTEA;
-- SHA-256 of a plan's golden vectors, hex; empty for plans that were registered before.
ALTER TABLE artifacts ADD COLUMN golden TEXT NOT NULL DEFAULT '';

-- What each group should run. `message` holds the exact bytes that are published; it is empty where
-- an older program published another form, and is then written anew from the other columns.
-- Serials were milliseconds and are hundredths of a second now.
CREATE TABLE desired (
    name        TEXT    PRIMARY KEY,
    serial      BIGINT NOT NULL,
    model       TEXT    NOT NULL,
    version     BIGINT NOT NULL,
    message     BYTEA    NOT NULL,
    set_ms      BIGINT NOT NULL
);
INSERT INTO desired (name, serial, model, version, message, set_ms)
    SELECT name, serial / 10, model, version, ''::bytea, set_ms FROM groups;
DROP TABLE groups;
ALTER TABLE desired RENAME TO groups;
