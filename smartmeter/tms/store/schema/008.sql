-- Each refusal looks for the same one of the last hour: strangers must not make that slow.
CREATE INDEX security_events_kind ON security_events (title, reason, time_s);
