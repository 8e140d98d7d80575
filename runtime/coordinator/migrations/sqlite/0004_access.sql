-- Who may talk to the broker. Passwords are 256 random bits, and only digests of them are kept:
-- `hash` for the embedded broker (see src/access.rs), `mosquitto` as Mosquitto's password file holds it.
CREATE TABLE credentials (
    login       TEXT    PRIMARY KEY,
    grp         TEXT,                            -- none: the coordinator's own login
    hash        BLOB    NOT NULL,
    mosquitto   TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;
