-- How many alarms and how much work there is: pages of either tell it with each look, and to count a million takes a while.
INSERT INTO totals SELECT 'alarms', count(*) FROM alarms;
CREATE TRIGGER alarm_counted AFTER INSERT ON alarms BEGIN
    UPDATE totals SET count=count+1 WHERE name='alarms';
END;
CREATE TRIGGER alarm_uncounted AFTER DELETE ON alarms BEGIN
    UPDATE totals SET count=count-1 WHERE name='alarms';
END;
INSERT INTO totals SELECT 'jobs', count(*) FROM jobs;
CREATE TRIGGER job_counted AFTER INSERT ON jobs BEGIN
    UPDATE totals SET count=count+1 WHERE name='jobs';
END;
CREATE TRIGGER job_uncounted AFTER DELETE ON jobs BEGIN
    UPDATE totals SET count=count-1 WHERE name='jobs';
END;
