// The npm package oidc-provider as a contestant: everybody who comes signs in at once, without a
// password and without an upstream, and everything is kept in Redis. ES256 as everywhere else.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import Redis from 'ioredis';
import Provider from 'oidc-provider';

const { PORT, REDIS_URL, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;
const PEOPLE = 1000;
const redis = new Redis(REDIS_URL);

// What the package asks of a store, each with as few commands as it takes.
class Store {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `peer:${this.model}:${id}`;
  }

  async upsert(id, payload, seconds) {
    const commands = redis.pipeline().set(this.key(id), JSON.stringify(payload), 'EX', seconds);
    if (payload.uid) commands.set(`peer:uid:${this.model}:${payload.uid}`, id, 'EX', seconds);
    if (payload.grantId) commands.sadd(`peer:grant:${payload.grantId}`, this.key(id)).expire(`peer:grant:${payload.grantId}`, seconds);
    await commands.exec();
  }

  async find(id) {
    const text = await redis.get(this.key(id));
    return text ? JSON.parse(text) : undefined;
  }

  async findByUid(uid) {
    const id = await redis.get(`peer:uid:${this.model}:${uid}`);
    return id ? this.find(id) : undefined;
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const payload = await this.find(id);
    payload.consumed = Math.floor(Date.now() / 1000);
    await redis.set(this.key(id), JSON.stringify(payload), 'KEEPTTL');
  }

  async destroy(id) {
    await redis.del(this.key(id));
  }

  async revokeByGrantId(grantId) {
    const keys = await redis.smembers(`peer:grant:${grantId}`);
    await redis.del(`peer:grant:${grantId}`, ...keys);
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'peer' };
const issuer = `http://localhost:${PORT}`;

const provider = new Provider(issuer, {
  adapter: Store,
  jwks: { keys: [key] },
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: ['a key of the benchmark'] },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  routes: { authorization: '/authorize', token: '/token' },
  ttl: { AccessToken: 900, AuthorizationCode: 60, Grant: 86400, IdToken: 900, Interaction: 600, Session: 86400 },
  pkce: { required: () => true },
  async findAccount(_context, id) {
    const claims = { sub: id, name: id, preferred_username: id, email: `${id}@example.org`, email_verified: true };
    return { accountId: id, claims: async () => claims };
  },
});

let next = 0;

async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const accountId = `p${next++ % PEOPLE}`;
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const grantId = await grant.save();
  const result = { login: { accountId }, consent: { grantId } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const serve = provider.callback();
const server = http.createServer((request, response) => {
  if (request.url === '/readyz') return response.end('ready');
  if (request.url.startsWith('/interaction/')) {
    return interact(request, response).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  }
  return serve(request, response);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
