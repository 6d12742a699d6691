/**
 * A client of the native protocol for tests. It records every envelope it is given and hands them
 * out like a mailbox: `next` takes the first one that fits and leaves the others. It never sleeps;
 * that something did not come is shown by something sent later that did.
 */
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { SOON, within } from './wait.mjs';

/** An `error` in a reply. */
export class Refused extends Error {
  constructor(type, { code, message, retryable }) {
    super(`${type}: ${code}: ${message}`);
    Object.assign(this, { name: 'Refused', code, detail: message, retryable });
  }
}

/** An upgrade that was answered with something else than 101. */
export class NotUpgraded extends Error {
  constructor(status, headers, text) {
    super(`upgrade refused: ${status} ${text.slice(0, 300)}`);
    this.name = 'NotUpgraded';
    this.status = status;
    this.headers = new Headers(Object.entries(headers).flatMap(([k, v]) => [v].flat().map((one) => [k, one])));
    this.text = text;
    this.body = /json/.test(headers['content-type'] ?? '') ? JSON.parse(text) : undefined;
  }
}

const open = new Set();

/** Drops every connection still open; for `after` hooks. */
export function dropAll() {
  for (const client of open) client.terminate();
}

/**
 * Opens a socket and resolves once it is accepted.
 * @param url       the server's `wsUrl`, or the server itself
 * @param room      in the URL (`/ws?room=`); `path` for another path
 * @param token     sent as `Authorization`; pass `null` and use `query`, `headers` or `protocols` for other places
 * @param protocols sub-protocols to offer; `[]` for none, as wscat does
 * @param ping      send the bare frame `ping` at once and every so many ms
 */
export function connect({ url, room, path = '/ws', token, protocols = ['tertulia.v1'], headers = {}, query = {}, ping = 0 }) {
  const target = new URL(path, url.wsUrl ?? url);
  if (room !== undefined) target.searchParams.set('room', room);
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
  const sent = token ? { authorization: `Bearer ${token}`, ...headers } : headers;
  const socket = new WebSocket(target, protocols, { headers: sent, perMessageDeflate: false, handshakeTimeout: SOON });
  const client = new Client(socket, ping);
  const opened = new Promise((resolve, reject) => {
    socket.once('open', () => resolve(client));
    socket.on('error', reject); // stays: an error after opening is told by the close
    socket.once('unexpected-response', (_, response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        reject(new NotUpgraded(response.statusCode, response.headers, Buffer.concat(chunks).toString()));
        socket.terminate();
      });
    });
  });
  return within(opened, SOON, `the upgrade of ${target}`);
}

/** Connects and awaits `connected`, kept as `hello` (its body). */
export async function enter(options) {
  const client = await connect(options);
  client.hello = (await client.next('connected')).body;
  client.joined = client.hello.joined;
  return client;
}

/** The refusal of an upgrade; fails if it was accepted. */
export async function refusal(options) {
  const outcome = await connect(options).catch((error) => error);
  assert.ok(outcome instanceof NotUpgraded, `the upgrade should be refused with a status, got ${outcome}`);
  return outcome;
}

class Client {
  /** Every envelope, in order of arrival; a bare `pong` is `{type: 'pong', bare: true}`. */
  seen = [];
  /** Resolves with `{code, reason}` when the close frame comes, or the connection is gone. */
  closed;
  hello = null;
  joined = null;
  #socket;
  #mail = [];
  #waiting = new Set();
  #ids = 0;
  #end = null;
  #timer = 0;

  constructor(socket, ping) {
    this.#socket = socket;
    open.add(this);
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    this.closed = new Promise((resolve) => {
      const end = (code, reason) => {
        clearInterval(this.#timer);
        open.delete(this);
        this.#end ??= { code, reason: reason.toString() };
        for (const waiter of this.#waiting) waiter.fail();
        resolve(this.#end);
      };
      socket.on('close', end);
      // The close frame itself: the local runtime keeps TCP open long after it (platform.md 1.3).
      socket.once('open', () => socket._receiver?.once('conclude', end));
    });
    if (ping) {
      socket.once('open', () => {
        socket.send('ping');
        this.#timer = setInterval(() => socket.readyState === 1 && socket.send('ping'), ping);
        this.#timer.unref();
      });
    }
  }

  /** The sub-protocol the 101 named. */
  get protocol() { return this.#socket.protocol; }
  get isOpen() { return this.#socket.readyState === WebSocket.OPEN && !this.#end; }
  get conn() { return this.hello?.conn; }
  get user() { return this.hello?.user; }

  #onMessage(data, isBinary) {
    assert.equal(isBinary, false, 'the native protocol sends text frames');
    const text = data.toString();
    if (text === 'pong') return this.#deliver({ type: 'pong', bare: true });
    const value = JSON.parse(text);
    for (const envelope of Array.isArray(value) ? value : [value]) this.#deliver(envelope);
  }

  #deliver(envelope) {
    this.seen.push(envelope);
    for (const waiter of this.#waiting) if (waiter.take(envelope)) return;
    this.#mail.push(envelope);
  }

  /** The first envelope not yet taken that fits: a type, or a predicate. Fails after `ms`, or at the close. */
  next(match, ms = SOON) {
    const fits = typeof match === 'string' ? (e) => e.type === match : match;
    const at = this.#mail.findIndex(fits);
    if (at >= 0) return Promise.resolve(this.#mail.splice(at, 1)[0]);
    let waiter;
    const shown = () => `${this.user ?? 'a client'} awaits ${match}; ${this.#summary()}`;
    const found = new Promise((resolve, reject) => {
      waiter = {
        take: (envelope) => fits(envelope) && (resolve(envelope), this.#waiting.delete(waiter)),
        fail: () => reject(new Error(`closed: ${shown()}`)),
      };
      this.#waiting.add(waiter);
      if (this.#end) waiter.fail();
    });
    return within(found, ms, shown).finally(() => this.#waiting.delete(waiter));
  }

  #summary() {
    const end = this.#end ? `closed with ${this.#end.code} ${this.#end.reason}; ` : '';
    const seen = this.seen.slice(-30).map((e) => `  ${JSON.stringify(e).slice(0, 300)}`);
    return `${end}the last ${seen.length} of ${this.seen.length} seen:\n${seen.join('\n')}`;
  }

  /** Everything of a type seen so far. */
  all(match) {
    return this.seen.filter(typeof match === 'string' ? (e) => e.type === match : match);
  }

  send(type, payload, fields = {}) {
    this.raw(JSON.stringify({ type, payload, ...fields }));
  }

  /** Any text as a text frame, any bytes as a binary one. */
  raw(data, options) {
    this.#socket.send(data, options);
  }

  /** Sends with an id and returns the reply's body; an error in it is thrown as `Refused`. */
  async ask(type, payload, { ms, ...fields } = {}) {
    const id = `r${this.#ids += 1}`;
    this.send(type, payload, { id, ...fields });
    const reply = await this.next((e) => e.type === 'reply' && e.id === id, ms);
    if (reply.error) throw new Refused(type, reply.error);
    return reply.body;
  }

  /** The refusal of what `ask` would send, asserted to have that word. */
  async refused(type, payload, ...codes) {
    const error = await this.ask(type, payload).then(() => null, (e) => e);
    assert.ok(error instanceof Refused, `${type} should be refused with ${codes}, got ${error ?? 'a reply'}`);
    assert.ok(codes.includes(error.code), `${type} should be refused with ${codes.join(' or ')}, got ${error.message}`);
    assert.equal(typeof error.detail, 'string');
    assert.equal(typeof error.retryable, 'boolean');
    return error;
  }

  /** Says something to the room and returns the reply. */
  say(text, fields = {}) {
    return this.ask('broadcast', { room: this.joined.room, body: { text }, ...fields });
  }

  /** The next message of that text. */
  hear(text, ms) {
    return this.next((e) => e.type === 'message' && e.body?.text === text, ms);
  }

  /** How it was closed, awaited no longer than `ms`. */
  ended(ms = SOON) {
    return within(this.closed, ms, () => `the close of ${this.user ?? 'a client'}; ${this.#summary()}`);
  }

  /** A goodbye, awaited: clean, with that code, or (`close(undefined)`) without one, as browsers do. */
  async close(...code) {
    this.#socket.close(...(code.length ? code : [1000]));
    return this.ended();
  }

  /** What a lost network does: no close frame. */
  terminate() {
    clearInterval(this.#timer);
    this.#socket.terminate();
  }
}
