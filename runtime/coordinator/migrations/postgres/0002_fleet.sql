-- What robots said, newest of each kind, as it came; the columns beside it are what decisions need.
-- Unsigned 64-bit numbers are stored as the signed number with the same bits.
CREATE TABLE devices (
    name        TEXT    PRIMARY KEY,
    grp         TEXT,
    session     BIGINT NOT NULL,
    online      BIGINT NOT NULL,
    birth       BYTEA,                            -- as received, in its envelope
    state       BYTEA,
    health      BYTEA,
    last_result TEXT,                            -- JSON
    seen_ms     BIGINT NOT NULL
);
CREATE INDEX devices_by_group ON devices (grp);

-- Which frames were counted: ranges of sequence numbers per boot, so that a result that is
-- delivered twice is counted once, in space that does not grow with the number of results.
CREATE TABLE result_frames (
    device      TEXT    NOT NULL,
    boot        BIGINT NOT NULL,
    first       BIGINT NOT NULL,
    last        BIGINT NOT NULL,
    PRIMARY KEY (device, boot, first)
);

CREATE TABLE result_counts (
    device      TEXT    NOT NULL,
    model       TEXT    NOT NULL,                -- digest, hex
    day         BIGINT NOT NULL,                -- days since 1970, UTC, by the coordinator's clock
    frames      BIGINT NOT NULL,
    labelled    BIGINT NOT NULL,
    correct     BIGINT NOT NULL,
    latency_us  BIGINT NOT NULL,                -- sum
    PRIMARY KEY (device, model, day)
);

CREATE TABLE result_latency (
    device      TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    bucket      BIGINT NOT NULL,                -- see src/decide/latency.rs
    frames      BIGINT NOT NULL,
    PRIMARY KEY (device, model, bucket)
);

-- What happened, for people and for `watch`.
CREATE TABLE events (
    id          BIGSERIAL PRIMARY KEY,
    at_ms       BIGINT NOT NULL,
    kind        TEXT    NOT NULL,
    device      TEXT,
    grp         TEXT,
    text        TEXT    NOT NULL
);
