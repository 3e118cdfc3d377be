-- Which sessions of somebody's are alive, however many there were.
CREATE INDEX sessions_open ON sessions (user_id, created_at) WHERE ended_at IS NULL;
-- What happened to somebody, the newest first.
CREATE INDEX audit_events_user_id ON audit_events (user_id, at);
