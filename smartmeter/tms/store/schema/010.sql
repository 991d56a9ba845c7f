-- Where a node said, when it registered, that it can be called: connection type and address as C12.22 has them.
CREATE TABLE native_addresses (
    esn TEXT PRIMARY KEY, connection_type INTEGER NOT NULL, address BLOB NOT NULL
) WITHOUT ROWID;
