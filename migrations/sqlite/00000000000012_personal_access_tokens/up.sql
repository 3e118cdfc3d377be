-- Some accounts are a program's. Nobody signs in to them.
ALTER TABLE users ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';

-- What people give to programs that act for them. Of the secret there is the digest only.
CREATE TABLE personal_access_tokens (
    id              TEXT PRIMARY KEY NOT NULL,
    digest          BLOB NOT NULL UNIQUE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    scope           TEXT NOT NULL,
    upstream        TEXT,
    acr             TEXT,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    last_used_at    INTEGER,
    last_client     TEXT,
    last_address    TEXT,
    last_user_agent TEXT,
    networks        TEXT NOT NULL,
    revoked_at      INTEGER
) STRICT;
CREATE INDEX personal_access_tokens_user_id ON personal_access_tokens (user_id);
-- Nobody has two living ones of the same name.
CREATE UNIQUE INDEX personal_access_tokens_name ON personal_access_tokens (user_id, name)
    WHERE revoked_at IS NULL;
