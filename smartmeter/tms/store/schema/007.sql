-- The epoch of a polled meter's ring is that of its newest intervals: each load-profile set has its own.
ALTER TABLE polled_meters DROP COLUMN ring_epoch;
