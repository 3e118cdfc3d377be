ALTER TABLE users DROP COLUMN email_issuer;
ALTER TABLE identities DROP COLUMN linked_at;
ALTER TABLE identities DROP COLUMN linked_by;
