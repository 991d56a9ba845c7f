-- The telephone number by which a SmartMeter is woken, from the shipment file; '' for none.
ALTER TABLE meters ADD COLUMN wake_number TEXT NOT NULL DEFAULT '';
