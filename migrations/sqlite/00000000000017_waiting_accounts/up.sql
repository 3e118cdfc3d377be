-- Accounts that people have made and an administrator has to approve: shut until then.
CREATE TABLE waiting_accounts (
    user_id  TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    asked_at INTEGER NOT NULL
) STRICT;
