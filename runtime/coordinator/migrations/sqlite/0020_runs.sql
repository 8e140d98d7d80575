-- Under which number the frames of a start are kept in `result_frames`, where that is not its boot counter. A run is the
-- random number of a start, hex; it is empty for robots that say none. Numbers from 2^32 on, so that they never meet a
-- boot counter.
CREATE TABLE result_runs (
    device      TEXT    NOT NULL,
    run         TEXT    NOT NULL,
    boot        INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    since_ms    INTEGER NOT NULL,
    PRIMARY KEY (device, run, boot)
) STRICT, WITHOUT ROWID;

-- What some frames of starts without a run held: the first 8 bytes of the SHA-256 of the message. Another message
-- under a number that was counted is another robot's, or one's whose storage was wiped.
CREATE TABLE result_marks (
    device      TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    mark        INTEGER NOT NULL,
    PRIMARY KEY (device, number, seq)
) STRICT, WITHOUT ROWID;

-- When two robots were last seen under this name, in ms since 1970; 0: never.
ALTER TABLE devices ADD COLUMN clone_ms INTEGER NOT NULL DEFAULT 0;
