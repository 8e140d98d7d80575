BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'registry','2026-11-30 23:10:26',1,X'3A05366DF8EC0AA5401D89B86A7C4875FA8435A031FF94D4AC09AD66CF47624DF9B39733C6A36184C89242FACC414AB8',1208870);
INSERT INTO "_sqlx_migrations" VALUES(2,'fleet','2026-11-30 23:10:26',1,X'3B98DE31BD9E6D6B33B761C7F79700FB93AE0B0FC3061D4C1B3455CEC42675F48CBC3EDE26AF03734F396AF1ADCD4BB8',1921006);
INSERT INTO "_sqlx_migrations" VALUES(3,'trust','2026-11-30 23:10:26',1,X'29B84B542804534B2CB71D707307BA149AD6EB5DEBC42EDFBC6DC9C04EFEAD4E397D600D9A573024177BE83EF6BECA46',3987347);
INSERT INTO "_sqlx_migrations" VALUES(4,'access','2026-11-30 23:10:26',1,X'B6F30994196BDE325F10AD79BA77A99E78CDDFAA04F227D526FEFE520BBA2C425C1D2759E1694A8B9F02358AEC0B31B7',1202398);
INSERT INTO "_sqlx_migrations" VALUES(10,'rollouts','2026-11-30 23:10:26',1,X'153DD22B1FA79CB09D485FD17F366943FC86D7832C5A20A0ABE39528E5F66E82DB550EF0D50BBA42C74B936E55A15BF6',1543348);
INSERT INTO "_sqlx_migrations" VALUES(11,'holdouts','2026-11-30 23:10:26',1,X'EB2D98779129154BED9FCBF03F7480201360916EEB3A348B87833DC9C951F58E7792103DCDD832542540859119FDACE6',1796122);
INSERT INTO "_sqlx_migrations" VALUES(12,'deltas','2026-11-30 23:10:26',1,X'139E3323EF08149FCC33503284E8E4D6A252141656F09672CAC5485867DEB6F5C73108908B3136362FF9F030A177A6F2',921310);
CREATE TABLE artifacts (
    model_id    INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    target      TEXT    NOT NULL,
    digest      TEXT    NOT NULL,                -- SHA-256 of the plan file, hex
    source      TEXT    NOT NULL,                -- SHA-256 of the ONNX file it was compiled from, hex
    size        INTEGER NOT NULL,
    arena       INTEGER NOT NULL,
    macs        INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL, golden TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (model_id, target)
) STRICT;
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
CREATE TABLE credentials (
    login       TEXT    PRIMARY KEY,
    grp         TEXT,                            -- none: the coordinator's own login
    hash        BLOB    NOT NULL,
    mosquitto   TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;
CREATE TABLE deltas (
    plan        TEXT    NOT NULL,                -- SHA-256 of the plan that comes out, hex
    base        TEXT    NOT NULL,                -- SHA-256 of the plan that a robot must hold, hex
    digest      TEXT    NOT NULL,                -- SHA-256 of the delta, hex; empty where none pays
    size        INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (plan, base, digest)
) STRICT, WITHOUT ROWID;
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
INSERT INTO "devices" VALUES('old','all',7714105844547190785,0,X'020081808080D0CC80876B03616C6C1673616E6465726C696E672D6167656E7420302E312E300C6C696E75782D7838365F363402067838362D36340767656E65726963808080208080802080800200',X'0281808080D0CC80876B01017400F5D070591742805F87E8D9460B7BD4FCAAE9DCFFC51F0E947E73DA61910B32530100000000',NULL,'{"at_ms":1796080229975,"boot":1796080229,"confidence":0.8235294818878174,"digest":"f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253","latency_us":12599,"seq":59,"top":4,"truth":null}',1796080229985);
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
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    device      TEXT,
    grp         TEXT,
    text        TEXT    NOT NULL
) STRICT;
CREATE TABLE "groups" (
    name        TEXT    PRIMARY KEY,
    serial      INTEGER NOT NULL,
    model       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    message     BLOB    NOT NULL,
    set_ms      INTEGER NOT NULL
) STRICT;
CREATE TABLE holdouts (
    name        TEXT    PRIMARY KEY,
    digest      TEXT    NOT NULL,                -- SHA-256 of the file, hex
    size        INTEGER NOT NULL,
    contents    TEXT    NOT NULL,                -- JSON: frames, arrays, slices
    created_ms  INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL
) STRICT;
CREATE TABLE models (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    stage       TEXT    NOT NULL,
    labels      TEXT    NOT NULL DEFAULT '{}',   -- JSON objects, as the user gave them
    metrics     TEXT    NOT NULL DEFAULT '{}',
    provenance  TEXT    NOT NULL DEFAULT '{}',
    created_ms  INTEGER NOT NULL, manifest BLOB,
    UNIQUE (name, version)
) STRICT;
CREATE TABLE policies (
    model       TEXT    PRIMARY KEY,
    policy      TEXT    NOT NULL,
    set_ms      INTEGER NOT NULL,
    by_whom     TEXT    NOT NULL
) STRICT;
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
INSERT INTO "result_counts" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',20787,60,0,0,745214);
CREATE TABLE result_frames (
    device      TEXT    NOT NULL,
    boot        INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    PRIMARY KEY (device, boot, first)
) STRICT, WITHOUT ROWID;
INSERT INTO "result_frames" VALUES('old',1796080229,0,59);
CREATE TABLE result_latency (
    device      TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    bucket      INTEGER NOT NULL,                -- see src/decide/latency.rs
    frames      INTEGER NOT NULL,
    PRIMARY KEY (device, model, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',64,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',65,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',67,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',69,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',71,2);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',72,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',73,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',74,2);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',76,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',80,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',84,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',89,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',90,2);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',91,4);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',92,9);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',93,7);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',94,3);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',95,1);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',96,12);
INSERT INTO "result_latency" VALUES('old','f5d070591742805f87e8d9460b7bd4fcaae9dcffc51f0e947e73da61910b3253',97,8);
CREATE TABLE rollout_devices (
    rollout     INTEGER NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    device      INTEGER NOT NULL,                -- the first 8 bytes of SHA-256(salt, name), as the signed number
    record      TEXT    NOT NULL,                -- JSON
    PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;
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
CREATE INDEX artifacts_by_digest ON artifacts (digest);
CREATE INDEX devices_by_group ON devices (grp);
CREATE UNIQUE INDEX rollouts_under_way ON rollouts (grp) WHERE is_over = 0;
CREATE INDEX audit_by_rollout ON audit (rollout, id);
CREATE INDEX audit_by_model ON audit (model, id);
CREATE INDEX holdouts_by_digest ON holdouts (digest);
CREATE INDEX deltas_by_digest ON deltas (digest);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',21);
COMMIT;