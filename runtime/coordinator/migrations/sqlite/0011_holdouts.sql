-- Recorded frames with the right answers. Files stand in the object store under their digest.
CREATE TABLE holdouts (
    name        TEXT    PRIMARY KEY,
    digest      TEXT    NOT NULL,                -- SHA-256 of the file, hex
    size        INTEGER NOT NULL,
    contents    TEXT    NOT NULL,                -- JSON: frames, arrays, slices
    created_ms  INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL
) STRICT;
CREATE INDEX holdouts_by_digest ON holdouts (digest);

-- How good a version is on a holdout: by the file's digest, so that another file under the same name asks anew.
CREATE TABLE evaluations (
    model       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    holdout     TEXT    NOT NULL,                -- digest, hex
    target      TEXT    NOT NULL,                -- the packing target of the plan that ran
    plan_digest TEXT    NOT NULL,
    scores      TEXT    NOT NULL,                -- JSON
    took_ms     INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL,
    PRIMARY KEY (model, version, holdout)
) STRICT;

-- What a version must pass before production. JSON: holdouts, and what a slice may lose.
CREATE TABLE policies (
    model       TEXT    PRIMARY KEY,
    policy      TEXT    NOT NULL,
    set_ms      INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL
) STRICT;
