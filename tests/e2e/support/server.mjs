/**
 * The service as a process: `wrangler dev --local` over the built Worker, on a port and a storage
 * of its own. It can be killed with everything below it and started again on the same storage.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { deriveConfig, ROOT } from './config.mjs';
import { freePort, isTaken, until, within } from './wait.mjs';
import { SECRET } from './token.mjs';

export { ROOT };

const START_MS = 60_000;
const alive = new Set();

process.on('exit', () => { for (const pid of alive) killGroup(pid, 'SIGKILL'); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Node 22 or later: this one, or the one npm installed beside wrangler. */
export function node22() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const installed = path.join(ROOT, 'node_modules/node/bin/node');
  if (!fs.existsSync(installed)) throw new Error('wrangler needs Node 22: run `npm ci` first');
  return installed;
}

/** Command and arguments of the project's wrangler. */
export function wrangler(...args) {
  return [node22(), [path.join(ROOT, 'node_modules/wrangler/bin/wrangler.js'), ...args]];
}

/** What a tool of ours is started with: quiet, offline, and never building. */
export const quietEnv = (extra = {}) => ({
  ...process.env,
  TERTULIA_SKIP_BUILD: '1',
  CI: '1',
  NO_COLOR: '1',
  FORCE_COLOR: '0',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  ...extra,
});

/**
 * Variables of every test server, where a test does not say otherwise (`null` leaves one out).
 * The rate of connects is off: all tests come from one address.
 */
export const DEFAULT_VARS = { JWT_SECRET: SECRET, RATE_CONNECTS_PER_MIN: '0' };

/**
 * Starts the service and returns when it answers.
 * @param port      a free one if absent
 * @param vars      variables of the Worker; null removes a default
 * @param persistTo storage directory; a temporary one, removed by `stop`, if absent
 * @param queue     false: without the queue binding
 * @param build     directory of another build (`build-panic`)
 * @param config    a configuration of the test's own, instead of the derived one
 * @param env       of the process
 */
export async function startServer(options = {}) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'tertulia-e2e-'));
  const { queue, build, config = deriveConfig({ dir: home, queue, build }) } = options;
  const settings = {
    home,
    config,
    env: options.env ?? {},
    persistTo: options.persistTo ?? path.join(home, 'state'),
    port: options.port ?? await freePort(),
    vars: { ...DEFAULT_VARS, ...options.vars },
  };
  const server = new Server(settings);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

class Server {
  /** Every line of stdout and stderr, over restarts. */
  logs = [];
  #settings;
  #child = null;
  #exited = null;

  constructor(settings) {
    this.#settings = settings;
  }

  get port() { return this.#settings.port; }
  get url() { return `http://127.0.0.1:${this.port}`; }
  get wsUrl() { return `ws://127.0.0.1:${this.port}`; }
  get pid() { return this.#child?.pid; }
  get config() { return this.#settings.config; }
  get persistTo() { return this.#settings.persistTo; }

  async start() {
    const { config, env, home, persistTo, port, vars } = this.#settings;
    const set = Object.entries(vars).filter(([, value]) => value !== null && value !== undefined);
    const [command, args] = wrangler(
      'dev', '--local', '--config', config, '--ip', '127.0.0.1', '--port', String(port),
      '--inspector-port', '0', '--persist-to', persistTo, '--show-interactive-dev-session=false',
      ...set.flatMap(([name, value]) => ['--var', `${name}:${value}`]),
    );
    const child = spawn(command, args, {
      cwd: home,
      env: quietEnv(env),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    alive.add(child.pid);
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        alive.delete(child.pid);
        killGroup(child.pid, 'SIGKILL'); // workerd, should it outlive wrangler
        resolve({ code, signal });
      });
    });
    const died = this.#exited.then(({ code, signal }) => {
      throw new Error(`wrangler ended (${code ?? signal}) before it was ready:\n${this.tail()}`);
    });
    const ready = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) this.#collect(stream, resolve);
    });
    await within(Promise.race([ready, died]), START_MS, () => `"Ready on …" of wrangler dev:\n${this.tail()}`);
    died.catch(() => {});
    await until(() => fetch(`${this.url}/`, { signal: AbortSignal.timeout(5_000) }), { label: 'an answer to GET /' });
  }

  #collect(stream, ready) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      this.logs.push(...lines);
      if (lines.some((line) => /Ready on /.test(line))) ready();
    });
  }

  /** The end of the log, for messages. */
  tail(lines = 40) {
    return this.logs.slice(-lines).join('\n');
  }

  /** Ends the whole process tree at once, as a crash would, and returns when its port is free. */
  async kill(signal = 'SIGKILL') {
    if (!this.#child) return;
    killGroup(this.#child.pid, signal);
    await within(this.#exited, 15_000, `the end of process ${this.#child.pid}`);
    this.#child = null;
    await until(async () => !(await isTaken(this.port)), { label: `port ${this.port} free again` });
  }

  /** Kill and start again: same port, same storage; with other variables if given. */
  async restart({ vars } = {}) {
    await this.kill('SIGKILL');
    Object.assign(this.#settings.vars, vars);
    await this.start();
  }

  /** Ends it and removes what it wrote. */
  async stop() {
    await this.kill('SIGKILL');
    fs.rmSync(this.#settings.home, { recursive: true, force: true, maxRetries: 5 });
  }
}
