CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    email      TEXT,
    email_key  TEXT,
    mailed     INTEGER NOT NULL,
    groups     TEXT NOT NULL,
    uses_left  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX invitations_expires_at ON invitations (expires_at);
