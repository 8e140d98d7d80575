-- Ways from one plan to another. The files stand in the object store under their digest.
CREATE TABLE deltas (
    plan        TEXT    NOT NULL,                -- SHA-256 of the plan that comes out, hex
    base        TEXT    NOT NULL,                -- SHA-256 of the plan that a robot must hold, hex
    digest      TEXT    NOT NULL,                -- SHA-256 of the delta, hex; empty where none pays
    size        INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (plan, base, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX deltas_by_digest ON deltas (digest);
