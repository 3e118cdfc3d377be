-- The key to which the refresh tokens of a public client are bound (RFC 9449 §5).
ALTER TABLE grants ADD COLUMN dpop_jkt TEXT;
