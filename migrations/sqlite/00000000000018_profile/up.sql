-- What the configuration lets people, or administrators, say about an account, each as one JSON value.
CREATE TABLE user_attributes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;

-- Pictures that people have uploaded, drawn anew, each under a name that cannot be guessed.
CREATE TABLE pictures (
    user_id    TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT NOT NULL UNIQUE,
    content    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The language that somebody prefers (BCP 47), and the address of the picture that they have uploaded.
ALTER TABLE users ADD COLUMN locale TEXT;
ALTER TABLE users ADD COLUMN own_picture TEXT;
