ALTER TABLE identities ADD COLUMN claims BLOB;
