-- The overview lists the open ones each second; the ended ones grow with the years.
CREATE INDEX outages_open ON outages (start_s) WHERE end_s = 0;
