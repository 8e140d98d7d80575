-- Rollouts. A head is JSON, a few hundred bytes; each robot has a record of its own, so that a report writes one row.
CREATE TABLE rollouts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    grp         TEXT    NOT NULL,
    salt        BLOB    NOT NULL,                -- what robots' places are made of
    chunk_size  INTEGER NOT NULL,
    head        TEXT    NOT NULL,                -- see the crate sanderling-rollout
    is_over     INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL
) STRICT;
-- A group takes part in one rollout at a time.
CREATE UNIQUE INDEX rollouts_under_way ON rollouts (grp) WHERE is_over = 0;

CREATE TABLE rollout_devices (
    rollout     INTEGER NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    device      INTEGER NOT NULL,                -- the first 8 bytes of SHA-256(salt, name), as the signed number
    record      TEXT    NOT NULL,                -- JSON
    PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;

-- Who did what when. Written in the transaction of what was done, and never changed.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL,
    act         TEXT    NOT NULL,
    rollout     INTEGER,
    grp         TEXT,
    model       TEXT,
    version     INTEGER,
    text        TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_rollout ON audit (rollout, id);
CREATE INDEX audit_by_model ON audit (model, id);
