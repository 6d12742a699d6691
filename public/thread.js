/**
 * What was said in the room, in order, as items a view can show. DOM-free.
 *
 * An item: `{key, id, gen, seq, user, name, ts, text, type, mine, state, error, ask, answer}`;
 * `state` is `pending`, `sent` or `failed`; `answer` is `{job, kind, model, promptId, status, attempt,
 * maxAttempts, error, whole}` on what the AI says. The log's order is (gen, seq): a new epoch is a new gen.
 *
 * Events: `item` {item, change, past} with change `new` | `changed` | `text` (only text came), `removed` {item}.
 */
import { Emitter } from './emitter.js';

const ENDS = new Set(['done', 'dead', 'cancelled']);
/** The service's own types that are nothing to read. */
const SILENT = new Set([
  'skip', 'job', 'answer_delta', 'message_queued', 'task_progress', 'receipt', 'removed', 'gap', 'expiring',
  'closing', 'error', 'connected', 'members', 'user_joined', 'user_left', 'user_updated',
  'presence_status_changed', 'reply', 'pong', 'echo',
]);

/** The text of a publisher's body, whatever it is. */
export function bodyText(body) {
  if (typeof body === 'string') return body;
  if (typeof body?.text === 'string') return body.text;
  return body === undefined ? '' : JSON.stringify(body);
}

export class Thread extends Emitter {
  #items = new Map(); // by key
  #byId = new Map();
  #byJob = new Map();
  #asker = new Map(); // job → user
  #gen = 0;
  #head = 0; // where things without a seq go
  #counter = 0;
  me = '';
  /** Set while what is taken in is not news. */
  past = false;

  get gen() {
    return this.#gen;
  }

  /** Where something without a seq belongs now. */
  get place() {
    return { gen: this.#gen, seq: this.#head };
  }

  item(id) {
    return this.#byId.get(id) ?? this.#items.get(id);
  }

  pending() {
    return [...this.#items.values()].filter((item) => item.state === 'pending');
  }

  /** The log was begun anew: what comes now is below what is shown. */
  newLog() {
    this.#gen += 1;
    this.#head = 0;
  }

  headAt(seq) {
    this.#head = Math.max(this.#head, seq);
  }

  /** Takes one envelope, live or from the past, in any order and as often as it comes. */
  ingest(env) {
    if (env.seq !== undefined) this.headAt(env.seq);
    switch (env.type) {
      case 'message_queued': return this.#queued(env);
      case 'job': return this.#job(env.body ?? {});
      case 'answer_delta': return this.#delta(env.body ?? {});
      default:
    }
    if (SILENT.has(env.type)) return true;
    if (env.meta?.job && (env.from?.user === 'ai' || this.#byId.get(env.id)?.answer)) return this.#whole(env);
    return this.#message(env);
  }

  /** Something of one's own, shown before the service has it. */
  draft({ text, ask, key }) {
    const item = this.#add({
      key, user: this.me, text, type: 'message', mine: true, state: 'pending', ask, ts: Date.now(),
      gen: Infinity, seq: Infinity,
    });
    this.#tell(item, 'new');
    return item;
  }

  /** The reply to a broadcast: this draft is that message. */
  confirm(item, { id, seq, ts }) {
    const shown = this.#byId.get(id);
    if (shown && shown !== item) return this.remove(item);
    this.#settle(item, { id, ts, gen: this.#gen, seq: seq ?? this.#head });
  }

  fail(item, error) {
    Object.assign(item, { state: 'failed', error });
    this.#tell(item, 'changed');
  }

  again(item) {
    Object.assign(item, { state: 'pending', error: undefined });
    this.#tell(item, 'changed');
  }

  remove(item) {
    this.#items.delete(item.key);
    this.emit('removed', { item });
  }

  /** `joined.answers`: those being generated, with their text so far. */
  generating(answers = []) {
    for (const { message_id: id, job, attempt, text } of answers) {
      const item = this.#answer(id, job);
      if (item.answer.whole || attempt < item.answer.attempt) continue;
      Object.assign(item.answer, { status: 'running', attempt });
      item.text = text ?? '';
      this.#tell(item, 'changed');
    }
  }

  #tell(item, change) {
    this.emit('item', { item, change, past: this.past });
  }

  #add(fields) {
    this.#counter += 1;
    const item = { key: `i${this.#counter}`, state: 'sent', ...fields };
    this.#items.set(item.key, item);
    if (item.id) this.#byId.set(item.id, item);
    return item;
  }

  #settle(item, fields) {
    Object.assign(item, fields, { state: 'sent', error: undefined });
    this.#byId.set(item.id, item);
    this.#tell(item, 'changed');
  }

  #message(env) {
    const { id, from = {}, body, ts, seq } = env;
    const place = { id, ts, gen: this.#gen, seq: seq ?? this.#head };
    const known = this.#byId.get(id);
    if (known) {
      if (known.seq !== place.seq || !known.name) {
        Object.assign(known, place, { name: from.name });
        this.#tell(known, 'changed');
      }
      return true;
    }
    const draft = this.#draftOf(env);
    if (draft) {
      draft.name = from.name;
      this.#settle(draft, place);
      return true;
    }
    const item = this.#add({
      ...place, user: from.user ?? '', name: from.name, type: env.type, mine: from.user === this.me,
      text: env.type === 'file' ? body?.name ?? 'a file' : bodyText(body),
      file: env.type === 'file' ? body : undefined,
    });
    this.#tell(item, 'new');
    return true;
  }

  /** One's own message that came back before its reply (or instead of it, over a reconnect). */
  #draftOf({ from, corr, body }) {
    if (from?.user !== this.me) return undefined;
    const open = [...this.#items.values()].filter((item) => item.mine && !item.id);
    return open.find((item) => corr && item.key === corr)
      ?? open.find((item) => !corr && item.state === 'pending' && item.text === bodyText(body));
  }

  #queued({ body = {}, from, seq }) {
    const prompt = this.#byId.get(body.prompt_id);
    const asker = from?.user && from.user !== 'ai' ? from.user : prompt?.user;
    if (asker) this.#asker.set(body.job, asker);
    if (prompt && !prompt.ask) this.#tell(Object.assign(prompt, { ask: true }), 'changed');
    const item = this.#answer(body.message_id, body.job, seq);
    Object.assign(item.answer, { kind: body.kind, promptId: body.prompt_id, asker: asker ?? item.answer.asker });
    this.#tell(item, 'changed');
    return true;
  }

  #answer(id, job, seq) {
    let item = this.#byId.get(id);
    if (item) return item;
    item = this.#add({
      id, user: 'ai', name: 'AI', text: '', type: 'message', mine: false, ts: Date.now(),
      gen: this.#gen, seq: seq ?? this.#head,
      answer: { job, status: 'queued', attempt: 0, whole: false, asker: this.#asker.get(job) },
    });
    this.#byJob.set(job, item);
    this.#tell(item, 'new');
    return item;
  }

  #job({ job, state, attempt, max_attempts: maxAttempts, error }) {
    const item = this.#byJob.get(job);
    if (!item || item.answer.whole) return true;
    const { answer } = item;
    if (attempt < answer.attempt || (ENDS.has(answer.status) && !ENDS.has(state))) return true;
    Object.assign(answer, { status: state ?? answer.status, maxAttempts, error: errorText(error) });
    if (attempt > answer.attempt && state === 'running') this.#beginAttempt(item, attempt);
    this.#tell(item, 'changed');
    return true;
  }

  #beginAttempt(item, attempt) {
    item.answer.attempt = attempt;
    item.text = '';
  }

  /** False if something before it is missing. */
  #delta({ message_id: id, job, attempt = 1, index = 0, text = '' }) {
    const item = this.#answer(id, job);
    const { answer } = item;
    if (answer.whole || ENDS.has(answer.status) || attempt < answer.attempt) return true;
    if (attempt > answer.attempt) this.#beginAttempt(item, attempt);
    if (index > item.text.length) return false;
    const restated = answer.status !== 'running' || item.text === '';
    answer.status = 'running';
    item.text = item.text.slice(0, index) + text;
    this.#tell(item, restated ? 'changed' : 'text');
    return true;
  }

  #whole({ id, body, meta, ts }) {
    const item = this.#answer(id, meta.job);
    if (item.answer.whole) return true;
    item.ts = ts;
    item.text = bodyText(body);
    Object.assign(item.answer, { kind: meta.kind, model: meta.model, status: meta.status ?? 'done', whole: true });
    this.#tell(item, 'changed');
    return true;
  }
}

function errorText(error) {
  return typeof error === 'string' ? error : error?.message;
}
