-- The servers that run on this database, each as long as it says so.
CREATE TABLE instances (
    id         TEXT PRIMARY KEY NOT NULL,
    issuer     TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;
