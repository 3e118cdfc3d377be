-- Whether somebody else knows the password, so that it only serves to choose another.
ALTER TABLE users ADD COLUMN password_temporary INTEGER NOT NULL DEFAULT FALSE;
