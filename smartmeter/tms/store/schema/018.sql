-- Another meter that was found at the address of a plain one: where its lists begin to be of this place, as JSON.
ALTER TABLE polled_meters ADD COLUMN taken_over TEXT NOT NULL DEFAULT '';
