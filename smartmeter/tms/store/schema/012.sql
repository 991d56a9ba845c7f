-- A key that a SmartMeter was offered counts beside the one that it has, until it has used it.
ALTER TABLE keys ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
