// What would be deployed: `wrangler deploy --dry-run` takes it, and it is small.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import zlib from 'node:zlib';
import { quietEnv, ROOT, wrangler } from './support/server.mjs';

const GZIP_MAX_BYTES = 500_000;
const out = fs.mkdtempSync(path.join(os.tmpdir(), 'tertulia-deploy-'));
after(() => fs.rmSync(out, { recursive: true, force: true }));

test('wrangler deploy --dry-run succeeds, with every binding of this step', { timeout: 120_000 }, () => {
  const [command, args] = wrangler('deploy', '--dry-run', '--outdir', out);
  const run = spawnSync(command, args, { cwd: ROOT, env: quietEnv(), encoding: 'utf8', timeout: 100_000 });
  const said = `${run.stdout}\n${run.stderr}`;
  assert.equal(run.status, 0, said);
  for (const binding of ['env.ROOM', 'env.JOBS', 'env.ASSETS']) assert.ok(said.includes(binding), `${binding} in\n${said}`);
  assert.doesNotMatch(said, /JWT_SECRET \(".+"\)/, 'no secret is part of the configuration');
});

test('the wasm is at most 500 KB gzipped', () => {
  const files = fs.readdirSync(out, { recursive: true }).filter((name) => name.endsWith('.wasm'));
  assert.equal(files.length, 1, files.join());
  const raw = fs.readFileSync(path.join(out, files[0]));
  const size = zlib.gzipSync(raw, { level: 9 }).length;
  console.log(`wasm: ${raw.length} bytes, ${size} gzipped`);
  assert.ok(size <= GZIP_MAX_BYTES, `${size} bytes gzipped`);
});
