/**
 * A server that speaks OpenAI's chat completions and misbehaves on demand. For tests, and for
 * trying the service by hand: `node tests/e2e/support/openai.mjs --port 9100 --mode ok`.
 *
 *   const ai = await startOpenAi();            // ai.url is what AI_BASE_URL wants
 *   ai.script([{ mode: 'cut', after: 2 }, '429', { mode: 'ok', text: 'All is well.' }]);
 *   const request = await ai.next('request');  // waits; one that came before is not lost
 *
 * A step is the answer to one request, in order; without steps the default is given (an echo).
 * A step is a mode's name, a status ('503'), or `{ mode, times, …options }`:
 *
 *   ok          streams the words of `text`, `delay_ms` apart (0)
 *   slow        the same, 300 ms apart
 *   json        ignores `stream`: the whole completion as one JSON document
 *   status      an error body with `status` (500), `retry_after` if given; '429' alone has one of 1
 *   hang        accepts, and sends nothing, not even a head, until `request.release()`
 *   hang_after  streams `after` (2) words, then nothing until `request.release()`
 *   cut         streams `after` (2) words, then destroys the socket
 *   error       streams `after` (2) words, then an error object, and ends
 *
 * Events for `next`: 'request' (it was read), 'chunk' (a word was sent; given to those who wait,
 * not kept), 'aborted' (the client left before the end), 'finished' (answered, cut, or aborted).
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const MODES = ['ok', 'slow', 'json', 'status', 'hang', 'hang_after', 'cut', 'error'];
const BODY_MAX = 8 << 20;
const FOREVER = { timeout_ms: 2 ** 31 - 1 };

export async function startOpenAi({ port = 0, host = '127.0.0.1', step = 'ok' } = {}) {
  let fallback = stepOf(step);
  let steps = [];
  const requests = [];
  const events = new Events();

  const server = createServer(async (req, res) => {
    const body = await read(req).catch(() => undefined);
    const path = new URL(req.url, 'http://x').pathname;
    if (req.method !== 'POST' || !/^(\/v1)?\/chat\/completions$/.test(path)) {
      return refuse(res, 404, `there is no ${req.method} ${path} here`, 'not_found_error');
    }
    const record = new Request(requests.length, req, path, body);
    requests.push(record);
    res.on('close', () => {
      record.aborted = !res.writableFinished && !record.cut;
      record.release(); // what hangs need not hang for nobody
      if (record.aborted) events.emit('aborted', record);
      record.finish();
      events.emit('finished', record);
    });
    record.step = takeStep();
    events.emit('request', record);
    const wrong = wrongWith(body);
    if (wrong) return refuse(res, 400, wrong, 'invalid_request_error');
    await answer(record, res, () => events.emit('chunk', record, { keep: false }));
  });

  function takeStep() {
    const [first] = steps;
    if (!first) return fallback;
    first.times -= 1;
    if (first.times <= 0) steps.shift();
    return first;
  }

  // Longer than any test: a connection taken up again must not be one that is just being closed.
  server.keepAliveTimeout = 120_000;
  server.listen(port, host);
  await once(server, 'listening');
  port = server.address().port;
  return {
    url: `http://${host}:${port}/v1`,
    port,
    requests,
    /** Appends steps to those still to come. */
    script(more) {
      steps.push(...[more].flat().map(stepOf));
    },
    /** What is answered when there are no steps. */
    otherwise(step) {
      fallback = stepOf(step);
    },
    /** Forgets steps, requests and events; what hangs is let go. */
    reset() {
      for (const record of requests) record.release();
      steps = [];
      requests.length = 0;
      fallback = stepOf(step);
      events.clear();
    },
    next: (name, options) => events.next(name, options),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      events.close();
    },
  };
}

/** One request, as tests look at it. */
class Request {
  aborted = false;
  /** Words sent so far. */
  chunks = 0;
  cut = false;
  step;

  constructor(index, req, path, body) {
    const { authorization, ...headers } = req.headers;
    Object.assign(this, { index, method: req.method, path, headers, body });
    this.authorized = authorization !== undefined;
    /** What was asked: the last message of a person. */
    this.question = body?.messages?.findLast?.((it) => it?.role === 'user')?.content ?? '';
    this.released = new Promise((resolve) => (this.release = resolve));
    /** Resolves, with this request, when its response is over in whatever way. */
    this.done = new Promise((resolve) => (this.finish = () => resolve(this)));
  }
}

/** Events that can be awaited after they happened: each is given to one `next`, in order. */
class Events {
  #kept = new Map();
  #waiting = new Map();

  emit(name, value, { keep = true } = {}) {
    const waiter = of(this.#waiting, name).shift();
    if (waiter) waiter.resolve(value);
    else if (keep) of(this.#kept, name).push(value);
  }

  next(name, { timeout_ms = 15_000 } = {}) {
    const kept = of(this.#kept, name);
    if (kept.length > 0) return Promise.resolve(kept.shift());
    return new Promise((resolve, reject) => {
      const waiting = of(this.#waiting, name);
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(waiter), 1);
        reject(new Error(`the AI server saw no "${name}" within ${timeout_ms} ms`));
      }, timeout_ms);
      const done = (settle) => (value) => {
        clearTimeout(timer);
        settle(value);
      };
      const waiter = { resolve: done(resolve), reject: done(reject) };
      waiting.push(waiter);
    });
  }

  clear() {
    this.#kept.clear();
  }

  close() {
    for (const waiter of [...this.#waiting.values()].flat()) {
      waiter.reject(new Error('the AI server was closed'));
    }
    this.#waiting.clear();
  }
}

function of(lists, name) {
  if (!lists.has(name)) lists.set(name, []);
  return lists.get(name);
}

/** A step in full; a wrong one is the test's mistake and told at once. */
function stepOf(step) {
  let full = typeof step === 'object' ? { ...step } : { mode: String(step) };
  full.mode ??= full.status ? 'status' : 'ok';
  if (/^[45]\d\d$/.test(full.mode)) {
    full = { ...full, status: Number(full.mode), mode: 'status' };
    if (full.status === 429) full.retry_after ??= 1;
  }
  if (!MODES.includes(full.mode)) {
    throw new Error(`no mode "${full.mode}"; there are ${MODES.join(', ')} and statuses`);
  }
  const delay_ms = full.mode === 'slow' ? 300 : 0;
  return { times: 1, after: 2, status: 500, delay_ms, ...full };
}

async function answer(record, res, sent) {
  const { step, body, question } = record;
  const text = step.text ?? `You asked: ${question}`;
  if (step.mode === 'status') {
    const headers = step.retry_after === undefined ? {} : { 'retry-after': step.retry_after };
    const type = step.status === 429 ? 'rate_limit_error' : 'server_error';
    return refuse(res, step.status, step.message ?? `scripted ${step.status}`, type, headers);
  }
  if (step.mode === 'hang') await record.released;
  if (res.destroyed) return;
  if (step.mode === 'json' || body.stream !== true) return whole(record, res, text);

  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const base = { id: `chatcmpl-${record.index}`, object: 'chat.completion.chunk', created: 0 };
  const choice = (delta, finish_reason = null) => ({ index: 0, delta, finish_reason });
  const say = (fields) => send(res, `data: ${JSON.stringify(fields)}\n\n`);
  const chunk = (...choices) => say({ ...base, model: body.model, choices });

  await send(res, ': the words follow\n\n');
  await chunk(choice({ role: 'assistant', content: '' }));
  const words = text.match(/\s*\S+\s*$|\s*\S+/g) ?? [];
  // Where something is to happen after n words, it happens at the latest before the end.
  for (const [index, content] of [...words, null].entries()) {
    const turn = index === Math.min(step.after, words.length);
    if (turn && step.mode === 'hang_after') await record.released;
    if (turn && step.mode === 'cut') {
      record.cut = true;
      return res.destroy();
    }
    if (turn && step.mode === 'error') {
      const message = step.message ?? 'scripted error';
      await say({ error: { message, type: 'server_error', code: null } });
      return res.end();
    }
    if (res.destroyed || content === null) break;
    if (index > 0 && step.delay_ms > 0) await sleep(step.delay_ms);
    if (res.destroyed) break;
    await chunk(choice({ content }));
    record.chunks += 1;
    sent();
  }
  if (res.destroyed) return;
  await chunk(choice({}, 'stop'));
  res.end('data: [DONE]\n\n');
}

function whole(record, res, text) {
  const message = { role: 'assistant', content: text };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  const object = 'chat.completion';
  record.chunks = 1;
  json(res, 200, { id: `chatcmpl-${record.index}`, object, model: record.body.model, choices });
}

/** Resolves when the bytes are with the kernel, so that a socket destroyed next does not eat them. */
function send(res, text) {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve();
    res.once('close', resolve);
    res.write(text, () => {
      res.off('close', resolve);
      resolve();
    });
  });
}

async function read(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size <= BODY_MAX) parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8'));
}

/** What OpenAI would refuse too. */
function wrongWith(body) {
  if (typeof body !== 'object' || body === null) return 'the body is not a JSON object';
  if (typeof body.model !== 'string' || body.model === '') return 'model is missing';
  if (!Array.isArray(body.messages) || body.messages.length === 0) return 'messages is missing';
  for (const { role, content } of body.messages) {
    if (!['system', 'user', 'assistant'].includes(role)) return `no role ${role}`;
    if (typeof content !== 'string') return 'content is not a string';
  }
  const { max_tokens } = body;
  if (max_tokens !== undefined && !(Number.isInteger(max_tokens) && max_tokens > 0)) {
    return 'max_tokens is not a positive integer';
  }
  return undefined;
}

function refuse(res, status, message, type, headers = {}) {
  json(res, status, { error: { message, type, param: null, code: null } }, headers);
}

function json(res, status, body, headers = {}) {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(JSON.stringify(body));
}

async function main() {
  const string = (fallback) => ({ type: 'string', ...(fallback && { default: fallback }) });
  const { values } = parseArgs({
    options: {
      port: string('9100'),
      host: string('127.0.0.1'),
      mode: string('ok'),
      text: string(),
      message: string(),
      after: string(),
      status: string(),
      'delay-ms': string(),
      'retry-after': string(),
    },
  });
  const step = { mode: values.mode };
  for (const [name, value] of Object.entries(values)) {
    const key = name.replace('-', '_');
    if (['text', 'message'].includes(key)) step[key] = value;
    if (['after', 'status', 'delay_ms', 'retry_after'].includes(key)) step[key] = Number(value);
  }
  const ai = await startOpenAi({ port: Number(values.port), host: values.host, step });
  console.log(`AI_BASE_URL=${ai.url}`);
  for (;;) {
    const { index, question, chunks, aborted, step } = await ai.next('finished', FOREVER);
    console.log(JSON.stringify({ index, mode: step.mode, question, chunks, aborted }));
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}
