/** JSON Web Tokens, good and broken, made with nothing but node:crypto. */
import crypto from 'node:crypto';

/** The shared secret of every test server that does not say otherwise. */
export const SECRET = 'e2e-secret-0123456789abcdef0123456789abcdef';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export const nowS = () => Math.floor(Date.now() / 1000);

const signers = {
  HS256: (input, key) => crypto.createHmac('sha256', key).update(input).digest('base64url'),
  HS512: (input, key) => crypto.createHmac('sha512', key).update(input).digest('base64url'),
  RS256: (input, key) => crypto.sign('sha256', Buffer.from(input), key).toString('base64url'),
  ES256: (input, key) => crypto.sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url'),
  EdDSA: (input, key) => crypto.sign(null, Buffer.from(input), key).toString('base64url'),
  none: () => '',
};

/**
 * Signs `claims` as they are.
 * @param alg    what signs
 * @param says   what the header says signs, `alg` if absent
 * @param header further header fields
 */
export function mint(claims, { key = SECRET, alg = 'HS256', says = alg, header = {} } = {}) {
  const input = `${encode({ alg: says, typ: 'JWT', ...header })}.${encode(claims)}`;
  return `${input}.${signers[alg](input, key)}`;
}

/** An ordinary token of an ordinary user: an hour to live. A claim set to undefined is left out. */
export function tokenFor(sub, claims = {}, options = {}) {
  return mint({ sub, iat: nowS(), exp: nowS() + 3600, ...claims }, options);
}

/** A key pair as PEM: `rsa`, `ec` (P-256) or `ed25519`. */
export function keyPair(type = 'rsa') {
  const options = {
    rsa: { modulusLength: 2048 },
    ec: { namedCurve: 'P-256' },
    ed25519: {},
  }[type];
  return crypto.generateKeyPairSync(type, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/** The claims of a token, its signature checked; null if it does not fit. For tokens of others' making. */
export function verify(token, key = SECRET) {
  const [head, body, signature] = token.split('.');
  const { alg } = JSON.parse(Buffer.from(head, 'base64url'));
  if (alg !== 'HS256' || signers.HS256(`${head}.${body}`, key) !== signature) return null;
  return JSON.parse(Buffer.from(body, 'base64url'));
}

/** The same token with one character of its signature changed. */
export function spoiled(token) {
  const at = token.lastIndexOf('.') + 3;
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
}

/** Every broken token there is a word for, against a server whose key is `SECRET`. */
export function brokenTokens(user = 'mallory') {
  const other = 'another-secret-0123456789abcdef0123456789';
  return [
    ['not a token at all', 'token_malformed', 'gibberish'],
    ['two parts', 'token_malformed', 'a.b'],
    ['three parts that are not base64', 'token_malformed', '*.*.*'],
    ['a payload that is not JSON', 'token_malformed', `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode('{')}.AAAA`],
    ['expired', 'token_expired', tokenFor(user, { exp: nowS() - 3600 })],
    ['not yet', 'token_not_yet', tokenFor(user, { nbf: nowS() + 1800 })],
    ['signed with another key', 'token_signature', tokenFor(user, {}, { key: other })],
    ['a spoiled signature', 'token_signature', spoiled(tokenFor(user))],
    ['alg none', 'token_algorithm', tokenFor(user, {}, { alg: 'none' })],
    ['alg none with a signature', 'token_algorithm', tokenFor(user, {}, { says: 'none' })],
    ['another algorithm', 'token_algorithm', tokenFor(user, {}, { alg: 'HS512' })],
    ['another algorithm in the header, a good signature', 'token_algorithm', tokenFor(user, {}, { says: 'RS256' })],
    ['no sub', 'token_claims', tokenFor(undefined)],
    ['a sub that is no string', 'token_claims', tokenFor(7)],
    ['an empty sub', 'token_claims', tokenFor('')],
    ['a sub no name may have', 'token_claims', tokenFor('a b')],
    ['the sub of the AI', 'token_claims', tokenFor('ai')],
    ['the sub of a guest', 'token_claims', tokenFor('guest:0123456789abcdef')],
    ['a name beyond its bounds', 'token_claims', tokenFor(user, { name: 'x'.repeat(65) })],
    ['patterns beyond what a connection keeps', 'token_claims', tokenFor(user, { rooms: Array(60).fill('x'.repeat(50)) })],
  ];
}
