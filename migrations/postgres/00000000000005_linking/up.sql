-- Until now an identity was known only because its person had signed up through it.
ALTER TABLE identities ADD COLUMN linked_by TEXT NOT NULL DEFAULT 'sign_up';
ALTER TABLE identities ADD COLUMN linked_at BIGINT NOT NULL DEFAULT 0;
UPDATE identities SET linked_at = created_at;

-- Whose word an address is. Where there is an identity, it may have been an upstream's.
ALTER TABLE users ADD COLUMN email_issuer TEXT;
UPDATE users SET email_issuer = (
    SELECT issuer FROM identities WHERE user_id = users.id ORDER BY confirmed_at DESC LIMIT 1
) WHERE email IS NOT NULL;
