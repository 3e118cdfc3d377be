-- Until now an identity was known only because its person had signed up through it.
ALTER TABLE identities ADD COLUMN linked_by TEXT NOT NULL DEFAULT 'sign_up';
ALTER TABLE identities ADD COLUMN linked_at BIGINT NOT NULL DEFAULT 0;
UPDATE identities SET linked_at = created_at;
