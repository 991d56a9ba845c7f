-- What a gateway has read, for people and programs on the board.  Times ending in _s are UTC seconds;
-- "number" counts upwards in the order of arrival: what is new is what is above the last one seen.
CREATE TABLE IF NOT EXISTS intervals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    esn TEXT NOT NULL,
    set_nbr INTEGER NOT NULL,
    ring_epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    end_s INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    status TEXT NOT NULL,
    quantity TEXT NOT NULL,
    unit TEXT NOT NULL,
    direction TEXT NOT NULL,
    value TEXT NOT NULL,
    raw INTEGER NOT NULL,
    UNIQUE (esn, set_nbr, ring_epoch, sequence, channel)
);
CREATE INDEX IF NOT EXISTS intervals_time ON intervals (esn, channel, end_s);
CREATE TABLE IF NOT EXISTS registers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    esn TEXT NOT NULL,
    time_s INTEGER NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    value TEXT NOT NULL,
    raw TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS registers_time ON registers (esn, time_s);
CREATE TABLE IF NOT EXISTS happenings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    esn TEXT NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    time_s INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (esn, kind, identity)
);
CREATE TABLE IF NOT EXISTS contexts (
    esn TEXT NOT NULL,
    context_id INTEGER NOT NULL,
    table_nbr INTEGER NOT NULL,
    image BLOB NOT NULL,
    PRIMARY KEY (esn, context_id, table_nbr)
) WITHOUT ROWID;
-- The last register that was read of the meter before the one that is there now.
CREATE TABLE IF NOT EXISTS meter_before (
    esn TEXT PRIMARY KEY,
    last_register INTEGER NOT NULL
) WITHOUT ROWID;
-- What the meters before the one that is there now had counted, and what this one showed at first.
CREATE TABLE IF NOT EXISTS energy_before (
    esn TEXT NOT NULL,
    name TEXT NOT NULL,
    total TEXT NOT NULL,
    begin TEXT,
    PRIMARY KEY (esn, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (
    esn TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    report INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT PRIMARY KEY,
    position TEXT NOT NULL
) WITHOUT ROWID;
-- The energy in the intervals that were forgotten for their age: sums go on from it.
CREATE TABLE IF NOT EXISTS forgotten_energy (
    esn TEXT NOT NULL,
    set_nbr INTEGER NOT NULL,
    direction TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (esn, set_nbr, direction)
) WITHOUT ROWID;
PRAGMA user_version = 5;
