-- The overview counts the states each second, and names who is late for longest.
CREATE INDEX meters_state ON meters (state, state_since_s);
