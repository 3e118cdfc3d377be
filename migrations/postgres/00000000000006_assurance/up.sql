-- By which upstream the person had come when the grant was made; none for an account of our own.
ALTER TABLE grants ADD COLUMN upstream TEXT;
UPDATE grants SET upstream = (SELECT upstream FROM sessions WHERE sessions.id = grants.session_id);

-- From now on these hold our own levels, not an upstream's words.
UPDATE sessions SET acr = NULL;
UPDATE grants SET acr = NULL;

-- For finding the groups that no upstream has confirmed lately.
CREATE INDEX identities_confirmed_at ON identities (upstream, confirmed_at) WHERE groups <> '[]';
