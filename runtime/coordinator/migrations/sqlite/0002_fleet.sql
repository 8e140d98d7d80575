-- What robots said, newest of each kind, as it came; the columns beside it are what decisions need.
-- Unsigned 64-bit numbers are stored as the signed number with the same bits.
CREATE TABLE devices (
    name        TEXT    PRIMARY KEY,
    grp         TEXT,
    session     INTEGER NOT NULL,
    online      INTEGER NOT NULL,
    birth       BLOB,                            -- as received, in its envelope
    state       BLOB,
    health      BLOB,
    last_result TEXT,                            -- JSON
    seen_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_by_group ON devices (grp);

-- Which frames were counted: ranges of sequence numbers per boot, so that a result that is
-- delivered twice is counted once, in space that does not grow with the number of results.
CREATE TABLE result_frames (
    device      TEXT    NOT NULL,
    boot        INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    PRIMARY KEY (device, boot, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE result_counts (
    device      TEXT    NOT NULL,
    model       TEXT    NOT NULL,                -- digest, hex
    day         INTEGER NOT NULL,                -- days since 1970, UTC, by the coordinator's clock
    frames      INTEGER NOT NULL,
    labelled    INTEGER NOT NULL,
    correct     INTEGER NOT NULL,
    latency_us  INTEGER NOT NULL,                -- sum
    PRIMARY KEY (device, model, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE result_latency (
    device      TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    bucket      INTEGER NOT NULL,                -- see src/decide/latency.rs
    frames      INTEGER NOT NULL,
    PRIMARY KEY (device, model, bucket)
) STRICT, WITHOUT ROWID;

-- What happened, for people and for `watch`.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    device      TEXT,
    grp         TEXT,
    text        TEXT    NOT NULL
) STRICT;
