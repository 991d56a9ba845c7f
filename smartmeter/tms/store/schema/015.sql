-- Which meter was put in the place of which, and when: the history of a place goes on from one to the other.
CREATE TABLE replacements (
    old_esn TEXT PRIMARY KEY,
    new_esn TEXT NOT NULL UNIQUE,
    replaced_s INTEGER NOT NULL
) WITHOUT ROWID;
