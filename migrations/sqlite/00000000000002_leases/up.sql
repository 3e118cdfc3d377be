CREATE TABLE leases (
    session_id    TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    upstream      TEXT NOT NULL,
    sealed        BLOB NOT NULL,
    confirmed_by  TEXT NOT NULL,
    not_before    INTEGER NOT NULL,
    uncertain     INTEGER NOT NULL,
    claim         TEXT,
    claimed_until INTEGER
) STRICT;
CREATE INDEX sessions_upstream_sid ON sessions (upstream, upstream_sid);
CREATE INDEX sessions_upstream_confirmed_at ON sessions (upstream, confirmed_at);

CREATE TABLE logout_deliveries (
    session_id   TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    ended_at     INTEGER NOT NULL,
    due_at       INTEGER,
    tries        INTEGER NOT NULL,
    delivered_at INTEGER,
    fault        TEXT,
    PRIMARY KEY (session_id, client_id)
) STRICT;
CREATE INDEX logout_deliveries_due_at ON logout_deliveries (due_at);
CREATE INDEX logout_deliveries_ended_at ON logout_deliveries (ended_at);
