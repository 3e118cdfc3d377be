ALTER TABLE grants DROP COLUMN upstream;
