-- Authenticator apps. The secret is sealed for its row; no code of a step up to last_step counts.
CREATE TABLE totp_factors (
    id         TEXT PRIMARY KEY NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    sealed     BYTEA NOT NULL,
    name       TEXT NOT NULL,
    last_step  BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX totp_factors_user_id ON totp_factors (user_id);

-- Codes for whoever has lost the rest. Each counts once.
CREATE TABLE recovery_codes (
    digest     BYTEA PRIMARY KEY NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_codes_user_id ON recovery_codes (user_id);
