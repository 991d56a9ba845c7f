-- How many rows the two large tables have: counting them takes seconds in a store of years.
CREATE TABLE totals (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO totals SELECT 'reports', count(*) FROM reports;
INSERT INTO totals SELECT 'intervals', count(*) FROM intervals;
