-- Register tables as they came, each by the time that its report tells: "images" holds the newest only.
CREATE TABLE readings (
    esn TEXT NOT NULL,
    time_s INTEGER NOT NULL,
    table_nbr INTEGER NOT NULL,
    context_id INTEGER NOT NULL,
    image BLOB NOT NULL,
    received_s INTEGER NOT NULL,
    PRIMARY KEY (esn, time_s, table_nbr)
) WITHOUT ROWID;
INSERT INTO readings SELECT esn, received_s, table_nbr, context_id, image, received_s
    FROM images JOIN meters USING (esn) WHERE table_nbr IN (23, 24, 25, 28);
