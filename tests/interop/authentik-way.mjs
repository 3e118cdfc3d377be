// A certified OpenID Provider that is set up the way Authentik is: an issuer for the application,
// whose path ends in a slash; subjects that are hashes; no address ever verified; groups by name; a
// refresh token for `offline_access` alone; back-channel logout. Settings come from the environment.
//
// POST /administration does what an administrator would: {"do": "leave", "person", "group"},
// {"do": "disable", "person"} or {"do": "rotate"}.
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import Provider from 'oidc-provider';

const { PORT, CLIENT_SECRET, KEYWRIGHT, SLUG } = process.env;
const PATH = '/application/o/keywright';
const ISSUER = `http://localhost:${PORT}${PATH}/`;

const people = {};
for (const name of ['grace', 'linus', 'margaret']) {
  people[name] = {
    name: name[0].toUpperCase() + name.slice(1),
    preferred_username: name,
    nickname: name,
    email: `${name}@example.org`,
    email_verified: false,
    groups: ['navy', 'staff'],
  };
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

// What it has issued: kept beside the provider, which is made anew when the keys change.
const issued = new Map();

class Issued {
  constructor(kind) {
    this.kind = kind;
  }
  #all() {
    return [...issued].filter(([key]) => key.startsWith(`${this.kind}:`));
  }
  async upsert(id, payload) {
    issued.set(`${this.kind}:${id}`, payload);
  }
  async find(id) {
    return issued.get(`${this.kind}:${id}`);
  }
  async findByUid(uid) {
    return this.#all().map(([, payload]) => payload).find((payload) => payload.uid === uid);
  }
  async consume(id) {
    issued.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    issued.delete(`${this.kind}:${id}`);
  }
  async revokeByGrantId(grant) {
    for (const [key, payload] of this.#all()) {
      if (payload.grantId === grant) issued.delete(key);
    }
  }
}

let keys = [newKey()];
let handle = provider().callback();

function provider() {
  const made = new Provider(ISSUER, {
    adapter: Issued,
    clients: [
      {
        client_id: 'keywright',
        client_secret: CLIENT_SECRET,
        redirect_uris: [`${KEYWRIGHT}/upstream/${SLUG}/callback`],
        post_logout_redirect_uris: [`${KEYWRIGHT}/upstream/${SLUG}/signed-out`],
        backchannel_logout_uri: `${KEYWRIGHT}/upstream/${SLUG}/backchannel-logout`,
        backchannel_logout_session_required: true,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        subject_type: 'pairwise',
      },
    ],
    jwks: { keys },
    cookies: { keys: [CLIENT_SECRET] },
    subjectTypes: ['pairwise'],
    pairwiseIdentifier: (_context, name) => createHash('sha256').update(name).digest('hex'),
    routes: {
      authorization: '/authorize/',
      token: '/token/',
      userinfo: '/userinfo/',
      end_session: '/end-session/',
      jwks: '/jwks/',
    },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'nickname', 'groups'],
      email: ['email', 'email_verified'],
    },
    conformIdTokenClaims: false,
    features: { backchannelLogout: { enabled: true } },
    pkce: { required: () => true },
    // By itself it asks no address of this computer.
    fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
    async findAccount(_context, name) {
      const person = people[name];
      return person && { accountId: name, claims: async () => ({ sub: name, ...person }) };
    },
  });
  made.on('backchannel.error', (_context, error) => console.log('back-channel logout failed:', error));
  made.on('grant.error', (_context, error) => console.log('tokens refused:', error.error_detail ?? error));
  made.on('server_error', (_context, error) => console.log('server error:', error));
  return made;
}

function administer({ do: what, person, group }) {
  if (what === 'leave') people[person].groups = people[person].groups.filter((own) => own !== group);
  if (what === 'disable') delete people[person];
  if (what === 'rotate') {
    keys = [newKey(), ...keys];
    handle = provider().callback();
  }
  return { signs_with: keys[0].kid };
}

const server = createServer(async (request, response) => {
  if (request.url === '/administration') {
    const done = administer(JSON.parse(await text(request)));
    response.setHeader('content-type', 'application/json');
    return response.end(JSON.stringify(done));
  }
  if (!request.url.startsWith(`${PATH}/`)) {
    response.statusCode = 404;
    return response.end();
  }
  // It finds out by the difference where it has been put.
  request.originalUrl = request.url;
  request.url = request.url.slice(PATH.length);
  return handle(request, response);
});
server.listen(Number(PORT), 'localhost', () => console.log('listening'));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
