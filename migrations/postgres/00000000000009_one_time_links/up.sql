-- Links that work once: an address is confirmed, or somebody gets back into their account. A new one
-- for the same purpose takes the place of the old one.
CREATE TABLE one_time_links (
    digest     BYTEA PRIMARY KEY NOT NULL,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (user_id, purpose)
);
CREATE INDEX one_time_links_expires_at ON one_time_links (expires_at);

-- Somebody wants to get back into an account. Whether there is one is found out later, so that the
-- answer cannot tell.
CREATE TABLE recovery_requests (
    id       TEXT PRIMARY KEY NOT NULL,
    name     TEXT NOT NULL,
    opened   TEXT NOT NULL,
    address  TEXT NOT NULL,
    asked_at BIGINT NOT NULL
);
