-- Nodes that registered as notification hosts: they are told who comes and goes.
CREATE TABLE notification_hosts (esn TEXT PRIMARY KEY) WITHOUT ROWID;
