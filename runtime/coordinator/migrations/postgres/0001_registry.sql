-- Models and what was compiled from them. Files stand in the object store under their digest.
CREATE TABLE models (
    id          BIGSERIAL PRIMARY KEY,
    name        TEXT    NOT NULL,
    version     BIGINT NOT NULL CHECK (version > 0),
    stage       TEXT    NOT NULL,
    labels      TEXT    NOT NULL DEFAULT '{}',   -- JSON objects, as the user gave them
    metrics     TEXT    NOT NULL DEFAULT '{}',
    provenance  TEXT    NOT NULL DEFAULT '{}',
    created_ms  BIGINT NOT NULL,
    UNIQUE (name, version)
);

CREATE TABLE artifacts (
    model_id    BIGINT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    target      TEXT    NOT NULL,
    digest      TEXT    NOT NULL,                -- SHA-256 of the plan file, hex
    source      TEXT    NOT NULL,                -- SHA-256 of the ONNX file it was compiled from, hex
    size        BIGINT NOT NULL,
    arena       BIGINT NOT NULL,
    macs        BIGINT NOT NULL,
    created_ms  BIGINT NOT NULL,
    PRIMARY KEY (model_id, target)
);
CREATE INDEX artifacts_by_digest ON artifacts (digest);

-- What each group should run. `manifest` holds the exact bytes that are published.
CREATE TABLE groups (
    name        TEXT    PRIMARY KEY,
    serial      BIGINT NOT NULL,
    model       TEXT    NOT NULL,
    version     BIGINT NOT NULL,
    manifest    BYTEA    NOT NULL,
    set_ms      BIGINT NOT NULL
);
