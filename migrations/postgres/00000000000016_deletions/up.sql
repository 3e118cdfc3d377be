-- Accounts that their owners have deleted: shut at once, erased when they are due.
CREATE TABLE deletions (
    user_id  TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    asked_at BIGINT NOT NULL,
    due_at   BIGINT NOT NULL
);
CREATE INDEX deletions_due_at ON deletions (due_at);
