-- Models and what was compiled from them. Files stand in the object store under their digest.
CREATE TABLE models (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    stage       TEXT    NOT NULL,
    labels      TEXT    NOT NULL DEFAULT '{}',   -- JSON objects, as the user gave them
    metrics     TEXT    NOT NULL DEFAULT '{}',
    provenance  TEXT    NOT NULL DEFAULT '{}',
    created_ms  INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;

CREATE TABLE artifacts (
    model_id    INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    target      TEXT    NOT NULL,
    digest      TEXT    NOT NULL,                -- SHA-256 of the plan file, hex
    source      TEXT    NOT NULL,                -- SHA-256 of the ONNX file it was compiled from, hex
    size        INTEGER NOT NULL,
    arena       INTEGER NOT NULL,
    macs        INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (model_id, target)
) STRICT;
CREATE INDEX artifacts_by_digest ON artifacts (digest);

-- What each group should run. `manifest` holds the exact bytes that are published.
CREATE TABLE groups (
    name        TEXT    PRIMARY KEY,
    serial      INTEGER NOT NULL,
    model       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    manifest    BLOB    NOT NULL,
    set_ms      INTEGER NOT NULL
) STRICT;
