DROP INDEX audit_events_user_id;
DROP INDEX sessions_open;
