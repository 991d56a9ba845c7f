-- What a person ordered goes on after a restart of the TMS: at how many it was under way, and of an upgrade what is sent and
-- for when.  An image is there once for all who are sent it, by the digest of its file, and goes with the last of them.
ALTER TABLE jobs ADD COLUMN taken_up INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN image BLOB;
ALTER TABLE jobs ADD COLUMN activation_s INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_image ON jobs (image, state) WHERE image IS NOT NULL;
CREATE TABLE upgrade_images (
    digest BLOB PRIMARY KEY,
    file BLOB NOT NULL
);
CREATE TRIGGER image_sent AFTER UPDATE OF state ON jobs
WHEN new.image IS NOT NULL AND new.state NOT IN ('waiting', 'running') BEGIN
    DELETE FROM upgrade_images WHERE digest=new.image
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE image=new.image AND state IN ('waiting', 'running'));
END;
