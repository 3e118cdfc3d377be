CREATE TABLE mail_outbox (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    recipient     TEXT NOT NULL,
    recipient_key TEXT NOT NULL,
    letter        BYTEA,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    next_try_at   BIGINT,
    tries         BIGINT NOT NULL,
    sent_at       BIGINT,
    gave_up_at    BIGINT,
    last_error    TEXT
);
CREATE INDEX mail_outbox_next_try_at ON mail_outbox (next_try_at);
CREATE INDEX mail_outbox_recipient ON mail_outbox (recipient_key, created_at);
CREATE INDEX mail_outbox_created_at ON mail_outbox (created_at);
