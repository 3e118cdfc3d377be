// A certified OpenID Provider as upstream: the npm package oidc-provider with its development pages.
// Settings come from the environment; prints one line once it listens.
import Provider from 'oidc-provider';

const { PORT, CLIENT_SECRET, REDIRECT_URI } = process.env;

const people = {
  grace: {
    name: 'Grace Hopper',
    preferred_username: 'grace',
    email: 'grace@example.org',
    email_verified: true,
    groups: ['navy', 'staff'],
  },
  // No address and no word on whether it is verified: silence is a third answer.
  linus: { name: 'Linus', preferred_username: 'linus', groups: [] },
};

const provider = new Provider(`http://localhost:${PORT}`, {
  clients: [
    {
      client_id: 'keywright',
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  pkce: { required: () => true },
  async findAccount(_context, id) {
    return people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id] }) };
  },
});

const server = provider.listen(Number(PORT), 'localhost', () => console.log('listening'));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
