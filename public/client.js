/**
 * A tertulia.v1 client for one room: requests and replies, position and recovery, gaps, sending with a key.
 * DOM-free; the view listens.
 *
 * Events: `state` (see link.js), `entered` {first, room, user}, `item`, `removed` (see thread.js),
 * `people`, `moved` {came, left}, `gap` {gap}, `older` {more}, `notice` {kind, …}.
 */
import { Emitter } from './emitter.js';
import { Link, PROTOCOL } from './link.js';
import { People } from './people.js';
import { Thread } from './thread.js';

const REPLY_TIMEOUT_MS = 15_000;
const RESYNC_EVERY_MS = 2_000;
const FIRST_PAGE = 50;
const GAP_PAGE = 200;
const GAP_PAGES = 5;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** n characters that nobody guesses. */
export function randomId(n = 32) {
  return Array.from(crypto.getRandomValues(new Uint8Array(n)), (byte) => ALPHABET[byte & 63]).join('');
}

export class RequestError extends Error {
  constructor({ code = 'internal', message = '', retryable = false } = {}) {
    super(message || code);
    this.code = code;
    this.retryable = retryable;
  }
}

export class Client extends Emitter {
  #options;
  #link;
  #requests = new Map();
  #counter = 0;
  #position = null; // {epoch, seq}: all up to here has been seen
  #covered = null; // {epoch, to}: gaps up to here are being dealt with
  #resyncing = false;
  #resyncedAt = 0;
  #oldest = Infinity;
  #token;
  people = new People();
  thread = new Thread();
  user = '';

  /** `{base: "wss://host", room, name?, guest?, token?, WebSocket?}`; a token wins over guest and name. */
  constructor(options) {
    super();
    this.#options = options;
    this.#token = options.token;
    this.#link = new Link({ target: () => this.#target(), WebSocket: options.WebSocket });
    this.#link.on('state', (state) => this.#onState(state));
    this.#link.on('frame', (frame) => this.#onFrame(frame));
    for (const type of ['item', 'removed']) this.thread.on(type, (detail) => this.emit(type, detail));
  }

  get room() {
    return this.#options.room;
  }

  get state() {
    return this.#link.state;
  }

  open() {
    this.#link.open();
  }

  /** Goodbye, at once. */
  leave() {
    this.#link.close();
  }

  retry() {
    this.#link.retry();
  }

  visible(visible) {
    this.#link.visible(visible);
  }

  network(up) {
    this.#link.network(up);
  }

  /** A new token: renews this connection, or comes in with it. */
  async useToken(token) {
    this.#token = token;
    if (this.state !== 'online') return this.#link.retry();
    await this.request('token', { token });
  }

  say(text) {
    this.#transmit(this.thread.draft({ text, ask: false, key: randomId(22) }));
  }

  ask(prompt) {
    this.#transmit(this.thread.draft({ text: prompt, ask: true, key: randomId(22) }));
  }

  /** Once more what has failed, under the same key: it is never said twice. */
  resend(item) {
    this.thread.again(item);
    this.#transmit(item);
  }

  cancel(job) {
    return this.request('cancel', { room: this.room, job });
  }

  /** Loads one page of what was said before; resolves to whether there is more. */
  async older() {
    const { messages, next } = await this.request('history', { room: this.room, before: this.#oldest, limit: FIRST_PAGE });
    for (const env of messages) this.#past(env);
    const more = next !== null && next !== undefined && messages.length > 0;
    this.emit('older', { more });
    return more;
  }

  request(type, payload) {
    return new Promise((resolve, reject) => {
      this.#request(type, payload, (error, body) => (error ? reject(error) : resolve(body)));
    });
  }

  #request(type, payload, done) {
    this.#counter += 1;
    const id = `r${this.#counter}`;
    if (!this.#link.send({ type, id, payload })) {
      done(new RequestError({ code: 'disconnected', message: 'not connected', retryable: true }));
      return;
    }
    const timer = setTimeout(() => {
      this.#requests.delete(id);
      done(new RequestError({ code: 'timeout', message: 'no answer', retryable: true }));
    }, REPLY_TIMEOUT_MS);
    this.#requests.set(id, { done, timer });
  }

  #target() {
    const { base, room, guest, name } = this.#options;
    const query = new URLSearchParams(this.#token ? { room } : { conversationId: room, guest, name });
    if (this.#position) {
      query.set('epoch', this.#position.epoch);
      query.set('seq', this.#position.seq);
    } else {
      query.set('last', FIRST_PAGE);
    }
    const protocols = this.#token ? [PROTOCOL, `bearer.${this.#token}`] : [PROTOCOL];
    return { url: `${base}/ws?${query}`, protocols };
  }

  #onState(state) {
    if (state.state !== 'online') {
      this.#resyncing = false;
      const open = [...this.#requests.values()];
      this.#requests.clear();
      for (const { done, timer } of open) {
        clearTimeout(timer);
        done(new RequestError({ code: 'disconnected', message: 'the connection was lost', retryable: true }));
      }
    }
    this.emit('state', state);
  }

  #onFrame(frame) {
    const { type, body = {} } = frame;
    switch (type) {
      case 'reply': return this.#onReply(frame);
      case 'connected': return this.#onConnected(body);
      case 'closing': this.#link.notBefore(body.reconnect_ms); return this.emit('notice', { kind: 'closing', ...body });
      case 'gap': return this.#onGap(body);
      case 'removed':
      case 'expiring':
      case 'error': return this.emit('notice', { kind: type, ...body });
      default:
    }
    if (frame.room !== undefined && frame.room !== this.room) return undefined;
    const moved = this.people.apply(type, body);
    if (moved) {
      this.emit('people');
      if (body.reset) this.#restOfPeople();
      if (moved.came.length || moved.left.length) this.emit('moved', moved);
      return undefined;
    }
    return this.#live(frame);
  }

  #onReply({ id, body, error }) {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    request.done(error ? new RequestError(error) : null, body ?? {});
  }

  #onConnected({ user, heartbeat_ms: heartbeat, joined }) {
    const first = !this.#position;
    this.user = typeof user === 'string' ? user : user?.user ?? '';
    this.thread.me = this.user;
    this.#link.established(heartbeat);
    if (joined) this.#onJoined(joined);
    this.emit('entered', { first, room: this.room, user: this.user });
    for (const item of this.thread.pending()) this.#transmit(item);
  }

  #onJoined(joined) {
    const { epoch, seq, recovered, missed = [], answers } = joined;
    const before = this.#position;
    const sameLog = before?.epoch === epoch;
    if (before && (recovered === false || !sameLog)) this.#openGap({ epoch, to: seq });
    this.#position = { epoch, seq };
    for (const env of missed) this.#past(env);
    this.thread.headAt(seq);
    this.thread.generating(answers);
    const { name } = this.#options;
    this.people.reset({ user: this.user, name: this.#token ? undefined : name }, joined);
    this.emit('people');
    if (!before) this.emit('older', { more: this.#oldest > 1 && this.#oldest !== Infinity });
    this.#restOfPeople();
  }

  /** A list comes as its first hundred; where each arrival is told, the rest is wanted too. */
  async #restOfPeople() {
    if (this.people.counted || this.people.count <= this.people.list().length) return;
    const after = this.people.list().map((member) => member.user).sort().at(-1);
    const page = await this.request('members', { room: this.room, after, limit: 200 }).catch(() => null);
    if (!page) return;
    this.people.add(page.members);
    this.emit('people');
  }

  #past(env) {
    if (env.seq !== undefined) this.#oldest = Math.min(this.#oldest, env.seq);
    this.thread.past = true;
    this.thread.ingest(env);
    this.thread.past = false;
  }

  #live(env) {
    const { seq, epoch } = env;
    if (seq !== undefined && this.#position) {
      if (this.#resyncing) return; // the join reply will bring it
      const jumped = seq > this.#position.seq + 1 || (epoch !== undefined && epoch !== this.#position.epoch);
      if (jumped) return this.#resync();
      if (seq <= this.#position.seq) return;
      this.#position.seq = seq;
      this.#oldest = Math.min(this.#oldest, seq);
    }
    if (this.thread.ingest(env) || Date.now() < this.#resyncedAt + RESYNC_EVERY_MS) return;
    this.#resync(); // a piece of an answer is missing: the join reply has its text so far
  }

  /** Something was lost on the way: join again from what has been seen. */
  #resync() {
    if (this.#resyncing) return;
    this.#resyncing = true;
    this.#resyncedAt = Date.now();
    this.#request('join', { room: this.room, since: { ...this.#position } }, (error, joined) => {
      this.#resyncing = false;
      if (!error) this.#onJoined(joined);
      else if (error.code !== 'disconnected') this.#link.drop('lost the thread');
    });
  }

  #onGap({ epoch, to, room }) {
    if (room !== undefined && room !== this.room) return;
    const upTo = to ?? this.#position?.seq ?? 0;
    if (!this.#openGap({ epoch, to: upTo })) return;
    const sameLog = this.#position?.epoch === epoch;
    this.#position = { epoch, seq: sameLog ? Math.max(this.#position.seq, upTo) : upTo };
    this.thread.headAt(upTo);
  }

  /** A gap is told by the join reply and by an event: whichever comes first opens it. */
  #openGap({ epoch, to }) {
    if (this.#covered?.epoch === epoch && this.#covered.to >= to) return false;
    this.#covered = { epoch, to };
    const sameLog = this.#position?.epoch === epoch;
    if (sameLog && to <= this.#position.seq) return false; // all of it has been seen
    const gap = { gen: this.thread.gen, seq: this.#position?.seq ?? 0, state: 'loading' };
    this.emit('gap', { gap });
    if (!sameLog) {
      this.thread.newLog();
      this.#oldest = Infinity;
    }
    this.#fill(gap, sameLog ? { after: gap.seq, to } : null)
      .catch(() => 'missing')
      .then((state) => this.emit('gap', { gap: Object.assign(gap, { state }) }));
    return true;
  }

  /** Reads what the gap left out; `filled` if all of it is there, else `missing`. */
  async #fill(gap, range) {
    await null; // after the join reply that is being read
    let seen = range?.after ?? 0;
    for (let page = 0; range && page < GAP_PAGES; page += 1) {
      const { messages, next } = await this.request('history', { room: this.room, after: seen, limit: GAP_PAGE });
      const whole = page > 0 || messages[0]?.seq === range.after + 1;
      messages.forEach((env) => this.#past(env));
      seen = messages.at(-1)?.seq ?? seen;
      if (!whole) break;
      if (seen >= range.to) return 'filled';
      if (next === null || next === undefined) break;
    }
    if (range && seen >= range.to) return 'missing';
    const { messages } = await this.request('history', { room: this.room, limit: FIRST_PAGE });
    messages.forEach((env) => this.#past(env));
    if (!range) this.emit('older', { more: (messages[0]?.seq ?? 1) > 1 });
    return 'missing';
  }

  #transmit(item) {
    const { text, key, ask } = item;
    const { room } = this;
    const [type, payload] = ask
      ? ['job', { room, kind: 'ai.chat', input: { prompt: text }, key, corr: key }]
      : ['broadcast', { room, body: { text }, key, corr: key }];
    this.#request(type, payload, (error, body) => {
      if (item.state === 'sent' || error?.code === 'disconnected') return; // it is sent again on return
      if (error) this.thread.fail(item, error);
      else if (!ask) this.thread.confirm(item, body);
    });
  }
}
