-- The newest upgrade and the newest trace of each SmartMeter: they are few among all work, and pages ask for them while
-- reports wait.  The questions name the kinds as this does, or SQLite would look through everything.
CREATE INDEX jobs_newest ON jobs (kind, esn, id) WHERE kind='upgrade' OR kind='trace';
