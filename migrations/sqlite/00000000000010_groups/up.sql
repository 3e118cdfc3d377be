CREATE TABLE groups (
    name        TEXT PRIMARY KEY,
    description TEXT,
    parent      TEXT,
    role        TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

-- Roles that are held without a group. Few have one.
ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';
CREATE INDEX users_with_roles ON users (id) WHERE roles <> '[]';
