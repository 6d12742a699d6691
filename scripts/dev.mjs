// `make dev`: `wrangler dev` here and offline, then what to try once it serves.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { claimsFrom, devSecret, sign } from './token.mjs';

const args = process.argv.slice(2);
const { values } = parseArgs({ args, strict: false, options: { port: { type: 'string' }, ip: { type: 'string' } } });
const port = Number(values.port ?? 8787);
const host = values.ip && !['0.0.0.0', '*', '::'].includes(values.ip) ? values.ip : 'localhost';
const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** Whether somebody listens there; an address family that the machine lacks is no answer. */
const taken = (address) => new Promise((resolve) => {
  const probe = createServer();
  probe.once('error', (error) => resolve(error.code));
  probe.listen({ port, host: address, exclusive: true }, () => probe.close(() => resolve(null)));
});

function fail(why) {
  console.error(`tertulia: ${why}`);
  process.exit(1);
}

if (!Number.isInteger(port) || port < 1 || port > 65535) fail(`--port ${values.port}: a number from 1 to 65535`);
for (const address of host === 'localhost' ? ['127.0.0.1', '::1'] : [host]) {
  const code = await taken(address);
  if (code === 'EADDRINUSE') fail(`port ${port} is taken: stop what uses it, or take another: make dev ARGS="--port ${port === 65535 ? 8790 : port + 1}"`);
  if (code === 'EACCES') fail(`port ${port} needs more rights than you have: take one above 1023: make dev ARGS="--port 8790"`);
}

// A process group of its own, so that nothing of it outlives this one.
const wrangler = spawn('wrangler', ['dev', '--local', '--show-interactive-dev-session=false', '--var', 'DETAILED_ERRORS:true',
  ...(values.port === undefined ? ['--port', String(port)] : []), ...args], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
const end = (signal) => {
  try {
    process.kill(-wrangler.pid, signal);
  } catch { /* it has ended */ }
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(signal));
process.on('exit', () => end('SIGTERM'));
wrangler.on('error', (error) => fail(`wrangler does not start (${error.message}): run make dev again after npm ci`));
wrangler.on('exit', (code) => process.exit(code ?? 1));

for (;;) {
  const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
  if (answer) break;
  await new Promise((resolve) => setTimeout(resolve, 300));
}

const secret = devSecret();
const token = secret ? sign(claimsFrom({ USER: 'ana', NAME: 'Ana', TTL: '86400' }), secret) : '<token>';
console.log(`
The page     ${url}/

A socket     npx wscat -c '${url.replace('http', 'ws')}/ws?room=lobby&token=${token}'

A message    curl '${url}/v1/rooms/lobby/messages' -H 'Content-Type: application/json' -H 'Authorization: Bearer ${token}' -d '{"type": "message", "body": {"text": "Hello from curl"}}'

Another token: make token USER=bob    Stop: Ctrl-C
`);
