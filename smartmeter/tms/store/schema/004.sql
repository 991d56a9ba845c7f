-- Plain C12.18 meters behind TCP serial servers, polled by the TMS; each is in "meters" too.
CREATE TABLE polled_meters (
    esn TEXT PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL,
    password BLOB NOT NULL,
    ring_epoch INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
-- What became of each poll on a schedule; cause '' is a good one.
CREATE TABLE polls (
    esn TEXT NOT NULL,
    schedule_nbr INTEGER NOT NULL,
    due_s INTEGER NOT NULL,
    ended_s INTEGER NOT NULL,
    cause TEXT NOT NULL,
    intervals INTEGER NOT NULL,
    contents TEXT NOT NULL,
    PRIMARY KEY (esn, schedule_nbr, due_s)
) WITHOUT ROWID;
