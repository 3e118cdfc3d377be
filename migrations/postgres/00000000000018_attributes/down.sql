ALTER TABLE users DROP COLUMN locale;
DROP TABLE user_attributes;
