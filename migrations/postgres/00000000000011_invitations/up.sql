CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    digest     BYTEA NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    email      TEXT,
    email_key  TEXT,
    mailed     BOOLEAN NOT NULL,
    groups     TEXT NOT NULL,
    uses_left  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX invitations_expires_at ON invitations (expires_at);
