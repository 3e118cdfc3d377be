-- Wrong passwords in a row: for an account at a network, for an account, for a network, for an app.
-- Whom a row is about stands in it as a keyed digest only.
CREATE TABLE password_guesses (
    key            BYTEA PRIMARY KEY NOT NULL,
    failures       BIGINT NOT NULL,
    last_failed_at BIGINT NOT NULL
);
CREATE INDEX password_guesses_last_failed_at ON password_guesses (last_failed_at);
