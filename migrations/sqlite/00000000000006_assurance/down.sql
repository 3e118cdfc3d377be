DROP INDEX identities_confirmed_at;
ALTER TABLE grants DROP COLUMN upstream;
