/**
 * One WebSocket that is kept alive: heartbeat, half-open detection, back-off with full jitter,
 * and what each close code means. Knows nothing of rooms, and nothing of the DOM.
 *
 * Events: `frame` (each object), `state` {state, code?, word?, detail?, retryAt?, final?}.
 * States: connecting, online, reconnecting, offline, refused, closed.
 */
import { Emitter } from './emitter.js';

export const PROTOCOL = 'tertulia.v1';
export const BACKOFF = { min: 500, max: 30_000 };

const CONNECT_TIMEOUT_MS = 12_000;
const STABLE_MS = 5_000;
const PROBE_MS = 3_000;
const HIDDEN_HEARTBEAT_MS = 60_000;
const HALF_OPEN = 3008; // not 1000: that would be a goodbye
const FINAL = new Set([1000, 1003, 1007, 1009, 4400, 4403, 4409]);
const NOT_BEFORE_MS = new Map([[4408, 1_000], [4413, 2_000], [4429, 5_000]]);
const WANTS_TOKEN = /^(token_\w+|key_missing)$/;

/** What to do about a close: `again`, `token` (after a new one) or `final`. */
export function closeMeaning(code, word = '') {
  if (code === 4401 || WANTS_TOKEN.test(word)) return 'token';
  return FINAL.has(code) ? 'final' : 'again';
}

/** The reason of a close is `code: detail`. */
export function parseReason(reason = '') {
  const [, word = '', detail = ''] = /^([a-z][a-z_]*)(?::\s*(.*))?$/s.exec(reason) ?? [];
  return word ? { word, detail } : { word: '', detail: reason };
}

export function backoff(attempt, random = Math.random) {
  const span = Math.min(BACKOFF.max - BACKOFF.min, BACKOFF.min * 2 ** attempt);
  return BACKOFF.min + random() * span;
}

export class Link extends Emitter {
  #target;
  #WebSocket;
  #random;
  #socket = null;
  #wanted = false;
  #state = 'closed';
  #attempt = 0;
  #timers = { retry: 0, connect: 0, stable: 0, beat: 0, probe: 0 };
  #heartbeat = 0;
  #hidden = false;
  #networkDown = false;
  #lastSeen = 0;
  #lastTick = 0;
  #notBefore = 0;
  #last = {};

  /** `target()` is asked before each attempt and returns `{url, protocols}`. */
  constructor({ target, WebSocket = globalThis.WebSocket, random = Math.random }) {
    super();
    this.#target = target;
    this.#WebSocket = WebSocket;
    this.#random = random;
  }

  get state() {
    return this.#state;
  }

  open() {
    this.#wanted = true;
    this.#attempt = 0;
    this.#notBefore = 0;
    this.#connect();
  }

  /** A clean goodbye: the others see it at once. */
  close() {
    this.#wanted = false;
    this.#abandon(1000, 'leave');
    this.#enter('closed');
  }

  /** Try now instead of waiting. */
  retry() {
    if (this.#wanted && this.#socket) return;
    this.#wanted = true;
    this.#connect();
  }

  /** Give this socket up and come again. */
  drop(detail) {
    this.#abandon(HALF_OPEN, 'again');
    if (this.#wanted) this.#again({ detail });
  }

  send(message) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    return true;
  }

  /** The service has greeted us: from here on it is a connection. */
  established(heartbeatMs) {
    clearTimeout(this.#timers.connect);
    this.#heartbeat = heartbeatMs > 0 ? heartbeatMs : 4_000;
    this.#timers.stable = setTimeout(() => { this.#attempt = 0; }, STABLE_MS);
    this.#enter('online');
    if (this.#hidden) this.#tellHeartbeat();
    this.#startBeat();
  }

  /** The service asks to stay away for a while (`closing`). */
  notBefore(ms) {
    if (ms > 0) this.#notBefore = Date.now() + ms;
  }

  visible(visible) {
    if (this.#hidden === !visible) return;
    this.#hidden = !visible;
    if (this.#state === 'online') {
      this.#tellHeartbeat();
      this.#startBeat();
      if (visible) this.#probe();
    } else if (visible && this.#timers.retry) {
      this.retry();
    }
  }

  network(up) {
    this.#networkDown = !up;
    if (this.#state === 'online') this.#probe();
    else if (up && this.#timers.retry) this.retry();
    else if (!up && this.#state === 'reconnecting') this.#enter('offline', this.#last);
  }

  #connect() {
    this.#abandon(HALF_OPEN, 'again');
    this.#enter('connecting');
    const { url, protocols } = this.#target();
    let socket;
    try {
      socket = new this.#WebSocket(url, protocols);
    } catch (error) {
      this.#wanted = false;
      this.#enter('refused', { word: 'bad_address', detail: String(error?.message ?? error), final: true });
      return;
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#onData(data);
    socket.onclose = (event) => this.#onClose(event);
    this.#timers.connect = setTimeout(() => this.drop('no answer'), CONNECT_TIMEOUT_MS);
  }

  #onData(data) {
    this.#lastSeen = Date.now();
    clearTimeout(this.#timers.probe);
    this.#timers.probe = 0;
    if (typeof data !== 'string' || data === 'pong') return;
    let value;
    try {
      value = JSON.parse(data);
    } catch {
      return;
    }
    const socket = this.#socket;
    for (const frame of Array.isArray(value) ? value : [value]) {
      if (this.#socket !== socket) return; // dropped by what came before
      if (frame && typeof frame === 'object') this.emit('frame', frame);
    }
  }

  #onClose({ code, reason }) {
    this.#abandon();
    const about = { code, ...parseReason(reason) };
    const meaning = closeMeaning(code, about.word);
    if (meaning === 'again') {
      if (NOT_BEFORE_MS.has(code) && this.#notBefore < Date.now()) this.notBefore(NOT_BEFORE_MS.get(code));
      this.#again(about);
      return;
    }
    this.#wanted = false;
    const quiet = code === 1000 || code === 4409;
    this.#enter(quiet ? 'offline' : 'refused', { ...about, final: true, token: meaning === 'token' });
  }

  #again(about) {
    const wait = Math.max(backoff(this.#attempt, this.#random), this.#notBefore - Date.now());
    this.#attempt += 1;
    this.#notBefore = 0;
    this.#timers.retry = setTimeout(() => this.#connect(), wait);
    this.#last = { ...about, retryAt: Date.now() + wait };
    this.#enter(this.#networkDown ? 'offline' : 'reconnecting', this.#last);
  }

  #abandon(code, reason) {
    for (const name of Object.keys(this.#timers)) {
      clearTimeout(this.#timers[name]);
      this.#timers[name] = 0;
    }
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    if (code && socket.readyState < 2) socket.close(code, reason);
  }

  #interval() {
    return this.#hidden ? Math.max(HIDDEN_HEARTBEAT_MS, this.#heartbeat) : this.#heartbeat;
  }

  #tellHeartbeat() {
    this.send({ type: 'heartbeat', payload: { every_ms: this.#interval() } });
  }

  #startBeat() {
    clearInterval(this.#timers.beat);
    this.#lastSeen = this.#lastTick = Date.now();
    let odd = true;
    this.send('ping');
    this.#timers.beat = setInterval(() => {
      odd = !odd;
      this.#tick(odd);
    }, this.#interval() / 2);
  }

  /** Twice a heartbeat: every other tick pings, each looks whether anything came of late. */
  #tick(mayPing) {
    const now = Date.now();
    const slept = now - this.#lastTick > 2 * this.#interval(); // the machine, not the server
    this.#lastTick = now;
    if (slept) return this.#probe();
    if (now - this.#lastSeen >= 2.5 * this.#interval()) return this.drop('no sign of life');
    if (mayPing) this.send('ping');
  }

  #probe() {
    this.#lastSeen = Date.now();
    this.send('ping');
    clearTimeout(this.#timers.probe);
    this.#timers.probe = setTimeout(() => this.drop('no sign of life'), PROBE_MS);
  }

  #enter(state, detail = {}) {
    this.#state = state;
    this.emit('state', { state, ...detail });
  }
}
