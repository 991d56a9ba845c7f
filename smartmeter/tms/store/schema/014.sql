-- Numbers of rows that were pruned, as ranges: what bears one of them again is not new.  "ring" tells intervals of one set and
-- ring epoch apart, and reports of one outbox epoch; "until_s" is the newest time in the range.
CREATE TABLE pruned (
    kind TEXT NOT NULL,
    esn TEXT NOT NULL,
    set_nbr INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    last INTEGER NOT NULL,
    first INTEGER NOT NULL,
    until_s INTEGER NOT NULL,
    PRIMARY KEY (kind, esn, set_nbr, epoch, last)
) WITHOUT ROWID;
