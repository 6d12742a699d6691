// What `make` offers beside the server: tokens, and clear words when something is in the way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { quietEnv, ROOT } from './support/server.mjs';
import { nowS, verify } from './support/token.mjs';
import { within } from './support/wait.mjs';

const T = { timeout: 60_000 };

const make = (...args) => run('make', args, quietEnv());

/** Runs a command to its end; with everything below it ended if it does not come to one. */
async function run(command, args, env) {
  const child = spawn(command, args, { cwd: ROOT, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => { output[name] += text; });
  try {
    const status = await within(new Promise((resolve) => child.once('close', resolve)), 45_000,
      () => `the end of ${command} ${args.join(' ')}:\n${output.stdout}${output.stderr}`);
    return { status, ...output };
  } finally {
    try { process.kill(-child.pid, 'SIGKILL'); } catch { /* it has ended, as it should */ }
  }
}

/** The secrets of `.dev.vars`, which the tools write when there is none. */
function devSecrets() {
  const text = fs.readFileSync(path.join(ROOT, '.dev.vars'), 'utf8');
  const value = /^JWT_SECRET\s*=\s*(?:"([^"]*)"|'([^']*)'|(.*))$/m.exec(text);
  assert.ok(value, 'a JWT_SECRET in .dev.vars');
  return (value[1] ?? value[2] ?? value[3].trim()).split(/\\n|\n/);
}

describe('make token', () => {
  const claimsOf = ({ status, stdout, stderr }) => {
    assert.equal(status, 0, stderr);
    const token = stdout.match(/[\w-]+\.[\w-]+\.[\w-]+/)?.[0];
    assert.ok(token, stdout);
    const claims = devSecrets().map((secret) => verify(token, secret)).find(Boolean);
    assert.ok(claims, 'signed with the secret of .dev.vars');
    return claims;
  };

  test('prints a token for that user, role and scope, and nothing else on stdout', T, async () => {
    const run = await make('-s', 'token', 'USER=ana', 'ROLE=advisor', 'SCOPE=rooms:join rooms:publish');
    const claims = claimsOf(run);
    assert.equal(claims.sub, 'ana');
    assert.equal(claims.role, 'advisor');
    assert.equal(claims.scope, 'rooms:join rooms:publish');
    assert.ok(claims.exp > nowS());
    assert.match(run.stdout, /^[\w.-]+\n$/);
  });

  test('without SCOPE and ROLE there is neither claim', T, async () => {
    const claims = claimsOf(await make('-s', 'token', 'USER=bob@example.org'));
    assert.equal(claims.sub, 'bob@example.org');
    assert.ok(!('scope' in claims) && !('role' in claims), JSON.stringify(claims));
  });
});

describe('make dev', () => {
  test('a taken port is one line that says what to do', T, async () => {
    const squatter = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    const { port } = squatter.address();
    try {
      const { status, stdout, stderr } = await make('-s', 'dev', `ARGS=--port ${port}`);
      assert.notEqual(status, 0);
      const lines = `${stdout}${stderr}`.split('\n').filter((line) => line.trim() && !/^make(\[\d+\])?: \*\*\*/.test(line));
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.ok(lines[0].includes(String(port)), lines[0]);
      assert.match(lines[0], /ARGS|--port|stop|free/i, lines[0]);
    } finally {
      squatter.close();
    }
  });

  for (const [without, has, says] of [
    ['a C compiler', [], /no C compiler: install one/],
    ['rustup and curl', ['cc'], /neither rustup nor curl: install one/],
  ]) {
    test(`without ${without}: one line that says what to do`, T, async () => {
      const bare = fs.mkdtempSync(path.join(os.tmpdir(), 'tertulia-bare-'));
      try {
        for (const tool of ['sh', 'dirname', 'sed', 'head', ...has]) {
          const found = process.env.PATH.split(':').map((dir) => path.join(dir, tool)).find((file) => fs.existsSync(file));
          fs.symlinkSync(found, path.join(bare, tool));
        }
        const env = { PATH: bare, HOME: bare, CARGO_HOME: bare };
        const { status, stdout, stderr } = await run(path.join(bare, 'sh'), ['scripts/run.sh', 'dev'], env);
        assert.notEqual(status, 0);
        const lines = `${stdout}${stderr}`.split('\n').filter((line) => line.trim());
        assert.equal(lines.length, 1, lines.join('\n'));
        assert.match(lines[0], says);
      } finally {
        fs.rmSync(bare, { recursive: true, force: true });
      }
    });
  }
});
