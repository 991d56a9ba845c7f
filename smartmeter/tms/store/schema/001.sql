-- Times ending in _s are UTC seconds of the calendar that the meters share.
CREATE TABLE meters (
    esn TEXT PRIMARY KEY,
    title TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'shipped',
    cause TEXT NOT NULL DEFAULT '',
    state_since_s INTEGER NOT NULL DEFAULT 0,
    base INTEGER NOT NULL DEFAULT 4032,
    config_version INTEGER NOT NULL DEFAULT 0,
    context_id INTEGER NOT NULL DEFAULT 0,
    registered_s INTEGER NOT NULL DEFAULT 0,
    provisioned_s INTEGER NOT NULL DEFAULT 0,
    heard_s INTEGER NOT NULL DEFAULT 0,
    module_state INTEGER NOT NULL DEFAULT 0,
    module_warning INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE keys (
    esn TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (esn, key_id)
) WITHOUT ROWID;

CREATE TABLE unknown_devices (
    title TEXT PRIMARY KEY,
    first_s INTEGER NOT NULL,
    last_s INTEGER NOT NULL,
    count INTEGER NOT NULL
) WITHOUT ROWID;

-- The key is what makes a report unique: decision 17.
CREATE TABLE reports (
    esn TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    schedule_nbr INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    due_s INTEGER NOT NULL,
    config_version INTEGER NOT NULL,
    context_id INTEGER NOT NULL,
    received_s INTEGER NOT NULL,
    contents TEXT NOT NULL,
    PRIMARY KEY (esn, epoch, number)
) WITHOUT ROWID;
CREATE INDEX reports_received ON reports (esn, received_s);

-- Raw integers with the context that gives them meaning; "values" is a JSON list.
CREATE TABLE intervals (
    esn TEXT NOT NULL,
    set_nbr INTEGER NOT NULL,
    ring_epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    end_s INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    context_id INTEGER NOT NULL,
    status BLOB NOT NULL,
    raw TEXT NOT NULL,
    source TEXT NOT NULL,
    received_s INTEGER NOT NULL,
    PRIMARY KEY (esn, set_nbr, ring_epoch, sequence)
) WITHOUT ROWID;
CREATE INDEX intervals_time ON intervals (esn, end_s);

CREATE TABLE events (
    esn TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    code INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    argument BLOB NOT NULL,
    received_s INTEGER NOT NULL,
    PRIMARY KEY (esn, sequence, time_s, code)
) WITHOUT ROWID;

CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    esn TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    alarm_nbr INTEGER NOT NULL,
    source INTEGER NOT NULL,
    code INTEGER NOT NULL,
    disposition INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    monitor_nbr INTEGER NOT NULL,
    value INTEGER NOT NULL,
    text TEXT NOT NULL,
    received_s INTEGER NOT NULL,
    closed_by TEXT NOT NULL DEFAULT '',
    UNIQUE (esn, epoch, alarm_nbr)
);
CREATE INDEX alarms_open ON alarms (closed_by, id);

CREATE TABLE outages (
    esn TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    outage_nbr INTEGER NOT NULL,
    start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL DEFAULT 0,
    told_s INTEGER NOT NULL,
    PRIMARY KEY (esn, epoch, outage_nbr)
) WITHOUT ROWID;

CREATE TABLE images (
    esn TEXT NOT NULL,
    table_nbr INTEGER NOT NULL,
    image BLOB NOT NULL,
    received_s INTEGER NOT NULL,
    PRIMARY KEY (esn, table_nbr)
) WITHOUT ROWID;

CREATE TABLE contexts (
    esn TEXT NOT NULL,
    context_id INTEGER NOT NULL,
    table_nbr INTEGER NOT NULL,
    image BLOB NOT NULL,
    PRIMARY KEY (esn, context_id, table_nbr)
) WITHOUT ROWID;

CREATE TABLE configurations (
    esn TEXT NOT NULL,
    version INTEGER NOT NULL,
    table_nbr INTEGER NOT NULL,
    image BLOB NOT NULL,
    PRIMARY KEY (esn, version, table_nbr)
) WITHOUT ROWID;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    esn TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL DEFAULT '',
    requested_by TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    ended_s INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    polls INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT ''
);
CREATE INDEX jobs_meter ON jobs (esn, id);
CREATE INDEX jobs_state ON jobs (state, id);

CREATE TABLE silences (
    id INTEGER PRIMARY KEY,
    esn TEXT NOT NULL,
    schedule_nbr INTEGER NOT NULL,
    due_s INTEGER NOT NULL,
    noticed_s INTEGER NOT NULL,
    ended_s INTEGER NOT NULL DEFAULT 0,
    cause TEXT NOT NULL DEFAULT '',
    filled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX silences_open ON silences (esn, ended_s);

CREATE TABLE security_events (
    id INTEGER PRIMARY KEY,
    time_s INTEGER NOT NULL,
    title TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL
);

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    role TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
