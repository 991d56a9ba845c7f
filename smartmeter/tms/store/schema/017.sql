-- How many alarms are open: hundreds of thousands take a time to count, and the overview does each second.
INSERT INTO totals SELECT 'open_alarms', count(*) FROM alarms WHERE closed_by='';
CREATE TRIGGER alarm_told AFTER INSERT ON alarms WHEN new.closed_by='' BEGIN
    UPDATE totals SET count=count+1 WHERE name='open_alarms';
END;
CREATE TRIGGER alarm_closed AFTER UPDATE OF closed_by ON alarms WHEN old.closed_by='' AND new.closed_by!='' BEGIN
    UPDATE totals SET count=count-1 WHERE name='open_alarms';
END;
CREATE TRIGGER alarm_dropped AFTER DELETE ON alarms WHEN old.closed_by='' BEGIN
    UPDATE totals SET count=count-1 WHERE name='open_alarms';
END;
