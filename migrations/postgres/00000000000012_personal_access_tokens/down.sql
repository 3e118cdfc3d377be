DROP TABLE personal_access_tokens;
ALTER TABLE users DROP COLUMN kind;
