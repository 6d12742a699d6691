// A JWT for trying things out: `node scripts/token.mjs USER=ana [ROLE= NAME= SCOPE= ROOMS= TTL= KEY=]`,
// signed with the first secret of .dev.vars (HS256) or the RSA key in the file KEY (RS256).
// `--new-vars` writes a .dev.vars. Also a module: { sign, devSecret }.
import { createHmac, createSign, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const VARS = resolve(fileURLToPath(import.meta.url), '../../.dev.vars');

/** A fresh secret that fits on a line of .dev.vars. */
export const newSecret = () => randomBytes(32).toString('hex');

/** The first secret of .dev.vars, or null. */
export function devSecret(file = VARS) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const [, quoted, single, bare] = /^\s*JWT_SECRET\s*=\s*(?:"([^"]*)"|'([^']*)'|(.*))$/m.exec(text) ?? [];
  const value = quoted?.replaceAll('\\n', '\n') ?? single ?? bare ?? '';
  return value.split('\n').map((line) => line.trim()).find(Boolean) ?? null;
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs claims with a shared secret, or with an RSA private key in PEM. */
export function sign(claims, key) {
  const rsa = String(key).includes('-----BEGIN');
  const input = `${part({ alg: rsa ? 'RS256' : 'HS256', typ: 'JWT' })}.${part(claims)}`;
  const signature = rsa
    ? createSign('RSA-SHA256').update(input).sign(key, 'base64url')
    : createHmac('sha256', key).update(input).digest('base64url');
  return `${input}.${signature}`;
}

/** Claims from words like those of the command line. */
export function claimsFrom({ USER, NAME, ROLE, SCOPE, ROOMS, TTL = '3600' }, now = Math.floor(Date.now() / 1000)) {
  const claims = { sub: USER, iat: now, exp: now + Number(TTL) };
  if (NAME) claims.name = NAME;
  if (ROLE) claims.role = ROLE;
  if (SCOPE !== undefined) claims.scope = SCOPE;
  if (ROOMS !== undefined) claims.rooms = ROOMS.split(/[\s,]+/).filter(Boolean);
  return claims;
}

function fail(why) {
  console.error(`tertulia: ${why}`);
  process.exit(1);
}

function main(args) {
  if (args[0] === '--new-vars') {
    const text = `# Read by \`wrangler dev\` only; never committed. \`make token\` signs with this secret.\nJWT_SECRET=${newSecret()}\nALLOW_GUESTS=true\n`;
    try {
      writeFileSync(VARS, text, { mode: 0o600, flag: 'wx' });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    return;
  }
  const words = Object.fromEntries(args.map((arg) => [arg.split('=')[0], arg.slice(arg.indexOf('=') + 1)]));
  const known = ['USER', 'NAME', 'ROLE', 'SCOPE', 'ROOMS', 'TTL', 'KEY'];
  const odd = args.find((arg) => !arg.includes('=') || !known.includes(arg.split('=')[0]));
  if (odd) fail(`${odd}: give ${known.join('=, ')}=`);
  if (!words.USER) fail('say who the token is for: make token USER=ana');
  if (words.TTL !== undefined && !/^-?\d+$/.test(words.TTL)) fail(`TTL=${words.TTL}: a number of seconds`);
  let key = devSecret();
  if (words.KEY) {
    try {
      key = readFileSync(words.KEY, 'utf8');
    } catch {
      fail(`KEY=${words.KEY}: there is no such file`);
    }
    if (!key.includes('PRIVATE KEY-----')) fail(`KEY=${words.KEY}: not a private key in PEM`);
  }
  if (!key) fail('no JWT_SECRET in .dev.vars: add one, or remove the file to get a new one');
  console.log(sign(claimsFrom(words), key));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
