ALTER TABLE users DROP COLUMN own_picture;
ALTER TABLE users DROP COLUMN locale;
DROP TABLE pictures;
DROP TABLE user_attributes;
