ALTER TABLE identities DROP COLUMN claims;
