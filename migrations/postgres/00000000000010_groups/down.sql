DROP INDEX users_with_roles;
ALTER TABLE users DROP COLUMN roles;
DROP TABLE groups;
