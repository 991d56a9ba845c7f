-- Octets of a meter's table that a schedule asked for by offset and count, each as it last came.
CREATE TABLE parts (
    esn TEXT NOT NULL,
    table_nbr INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    octets BLOB NOT NULL,
    received_s INTEGER NOT NULL,
    PRIMARY KEY (esn, table_nbr, offset)
) WITHOUT ROWID;
