// `make deploy`: the queues and secrets that are missing, then the Worker. Asks for nothing; wrangler
// itself opens a browser to log in where there is neither a login nor CLOUDFLARE_API_TOKEN.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSecret } from './token.mjs';

const SECRETS = ['JWT_SECRET', 'SIGNING_SECRET'];

/** Runs wrangler; its output if it is wanted, else it goes to the terminal. */
function wrangler(args, capture = true) {
  const run = spawnSync('wrangler', args, { encoding: 'utf8', stdio: ['inherit', capture ? 'pipe' : 'inherit', capture ? 'pipe' : 'inherit'] });
  return { ok: run.status === 0, out: run.stdout ?? '', said: `${run.stdout ?? ''}${run.stderr ?? ''}` };
}

function fail(why) {
  console.error(`tertulia: ${why}`);
  process.exit(1);
}

if (!wrangler(['whoami']).said.includes('Account ID') && !wrangler(['login'], false).ok) {
  fail('not logged in to Cloudflare: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN');
}

// Every queue that wrangler.toml names; one that is there is left as it is.
const config = readFileSync('wrangler.toml', 'utf8');
const queues = new Set([...config.matchAll(/^\s*(?:queue|dead_letter_queue)\s*=\s*"([^"]+)"/gm)].map((m) => m[1]));
for (const queue of queues) {
  if (wrangler(['queues', 'info', queue]).ok) continue;
  const { ok, said } = wrangler(['queues', 'create', queue]);
  if (!ok && !/already (taken|exists)|11009/i.test(said)) fail(`queue ${queue} could not be created:\n${said}`);
  if (ok) console.log(`tertulia: queue ${queue} created`);
}

// A Worker that is not there yet has no secrets either; any other failure must not replace a secret.
const listed = wrangler(['secret', 'list', '--format', 'json']);
if (!listed.ok && !/10007|10090|not found|does not exist/i.test(listed.said)) fail(`its secrets could not be listed:\n${listed.said}`);
const there = listed.ok ? JSON.parse(listed.out.slice(listed.out.indexOf('['))).map(({ name }) => name) : [];
const missing = SECRETS.filter((name) => !there.includes(name));

const home = mkdtempSync(join(tmpdir(), 'tertulia-'));
try {
  const file = join(home, 'secrets.json');
  writeFileSync(file, JSON.stringify(Object.fromEntries(missing.map((name) => [name, newSecret()]))), { mode: 0o600 });
  const { ok } = wrangler(['deploy', ...(missing.length ? ['--secrets-file', file] : []), ...process.argv.slice(2)], false);
  if (!ok) process.exitCode = 1;
  else if (missing.length) console.log(`tertulia: new random ${missing.join(' and ')}; to sign tokens elsewhere, set your own: npx wrangler secret put JWT_SECRET`);
} finally {
  rmSync(home, { recursive: true, force: true });
}
