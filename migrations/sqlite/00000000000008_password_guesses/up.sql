-- Wrong passwords in a row: for an account at a network, for an account, for a network, for an app.
-- Whom a row is about stands in it as a keyed digest only.
CREATE TABLE password_guesses (
    key            BLOB PRIMARY KEY NOT NULL,
    failures       INTEGER NOT NULL,
    last_failed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX password_guesses_last_failed_at ON password_guesses (last_failed_at);
