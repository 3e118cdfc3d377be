CREATE TABLE mail_outbox (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    recipient     TEXT NOT NULL,
    recipient_key TEXT NOT NULL,
    letter        BLOB,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    next_try_at   INTEGER,
    tries         INTEGER NOT NULL,
    sent_at       INTEGER,
    gave_up_at    INTEGER,
    last_error    TEXT
) STRICT;
CREATE INDEX mail_outbox_next_try_at ON mail_outbox (next_try_at);
CREATE INDEX mail_outbox_recipient ON mail_outbox (recipient_key, created_at);
CREATE INDEX mail_outbox_created_at ON mail_outbox (created_at);
