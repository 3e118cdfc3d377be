-- What the configuration lets people, or administrators, say about an account, each as one JSON value.
CREATE TABLE user_attributes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;

-- The language that somebody prefers (BCP 47).
ALTER TABLE users ADD COLUMN locale TEXT;
