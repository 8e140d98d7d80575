-- Rollouts. A head is JSON, a few hundred bytes; each robot has a record of its own, so that a report writes one row.
CREATE TABLE rollouts (
    id          BIGSERIAL PRIMARY KEY,
    grp         TEXT    NOT NULL,
    salt        BYTEA    NOT NULL,                -- what robots' places are made of
    chunk_size  BIGINT NOT NULL,
    head        TEXT    NOT NULL,                -- see the crate sanderling-rollout
    is_over     BIGINT NOT NULL,
    created_ms  BIGINT NOT NULL,
    by_whom     TEXT    NOT NULL
);
-- A group takes part in one rollout at a time.
CREATE UNIQUE INDEX rollouts_under_way ON rollouts (grp) WHERE is_over = 0;

CREATE TABLE rollout_devices (
    rollout     BIGINT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    device      BIGINT NOT NULL,                -- the first 8 bytes of SHA-256(salt, name), as the signed number
    record      TEXT    NOT NULL,                -- JSON
    PRIMARY KEY (rollout, device)
);

-- Who did what when. Written in the transaction of what was done, and never changed.
CREATE TABLE audit (
    id          BIGSERIAL PRIMARY KEY,
    at_ms       BIGINT NOT NULL,
    by_whom     TEXT    NOT NULL,
    act         TEXT    NOT NULL,
    rollout     BIGINT,
    grp         TEXT,
    model       TEXT,
    version     BIGINT,
    text        TEXT    NOT NULL
);
CREATE INDEX audit_by_rollout ON audit (rollout, id);
CREATE INDEX audit_by_model ON audit (model, id);
