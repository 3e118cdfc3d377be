// An API that checks tokens by the JWKS, as the npm package jose does it: the key set is fetched
// once and kept, and fetched again only for an unknown `kid`. One request a line on standard
// input, {"token", "audience", "alg"}; one answer a line, {"sub"} or {"error"}.
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER, JWKS_URI } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URI));

for await (const line of createInterface({ input: process.stdin })) {
  const { token, audience, alg } = JSON.parse(line);
  try {
    const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience, algorithms: [alg] });
    console.log(JSON.stringify({ sub: payload.sub }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.code}: ${error.message}` }));
  }
}
