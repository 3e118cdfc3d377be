// A certified client library as the app: the npm package openid-client, in its strictest manner.
// Prints {"open": URL} when a person has to go somewhere, reads where they came out from
// standard input, and prints {"done": STEP} after each step that the library accepted.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import * as client from 'openid-client';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SIGNED_OUT } = process.env;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (message) => console.log(JSON.stringify(message));
const done = (step) => say({ done: step });
const visit = async (url) => {
  say({ open: String(url) });
  return new URL((await answers.next()).value);
};

const config = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  { use_mtls_endpoint_aliases: false },
  client.ClientSecretBasic(CLIENT_SECRET),
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
);
done('reads the discovery document');

const verifier = client.randomPKCECodeVerifier();
const expected = { expectedState: client.randomState(), expectedNonce: client.randomNonce() };
const callback = await visit(
  client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email groups offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: expected.expectedState,
    nonce: expected.expectedNonce,
    max_age: '600',
  }),
);
const tokens = await client.authorizationCodeGrant(config, callback, {
  pkceCodeVerifier: verifier,
  idTokenExpected: true,
  maxAge: 600,
  ...expected,
});
assert.equal(tokens.claims().email, 'olga@example.org');
assert.deepEqual(tokens.claims().groups, ['staff']);
done('exchanges the code, with PKCE, state, nonce, max_age and the iss of the answer checked');

const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
assert.equal(person.preferred_username, 'olga');
done('reads UserInfo');

const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
assert.equal(refreshed.claims().sub, tokens.claims().sub);
done('refreshes, and gets another refresh token');

const active = await client.tokenIntrospection(config, refreshed.access_token);
assert.equal(active.active, true);
assert.equal(active.client_id, CLIENT_ID);
done('introspects the access token');

await client.tokenRevocation(config, refreshed.refresh_token);
await assert.rejects(client.refreshTokenGrant(config, refreshed.refresh_token), { error: 'invalid_grant' });
const gone = await client.tokenIntrospection(config, refreshed.refresh_token);
assert.deepEqual(gone, { active: false });
done('revokes the refresh token, which then is refused and inactive');

const own = await client.clientCredentialsGrant(config);
assert.equal(own.refresh_token, undefined);
assert.equal((await client.tokenIntrospection(config, own.access_token)).sub, CLIENT_ID);
done('gets a token for itself');

const left = await visit(
  client.buildEndSessionUrl(config, {
    id_token_hint: refreshed.id_token,
    post_logout_redirect_uri: SIGNED_OUT,
    state: 'bye',
  }),
);
assert.equal(left.href, `${SIGNED_OUT}?state=bye`);
done('signs the person out');
process.exit(0);
