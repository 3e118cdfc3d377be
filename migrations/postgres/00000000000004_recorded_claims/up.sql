ALTER TABLE identities ADD COLUMN claims BYTEA;
