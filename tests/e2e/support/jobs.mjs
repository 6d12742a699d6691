/** Asking the AI, and what everybody in the room must see of it. */
import assert from 'node:assert/strict';
import { assertLogged } from './fixture.mjs';
import { assertStatus } from './http.mjs';
import { until } from './wait.mjs';

export const ENDS = ['done', 'dead', 'cancelled'];
/** A local queue hands on after up to a second; a provider that streams takes its time. */
export const ANSWER_MS = 20_000;

/** Asks over the socket; returns the job. */
export async function askAi(client, prompt, fields = {}) {
  const { room } = client.joined;
  const { job } = await client.ask('job', { room, kind: 'ai.chat', input: { prompt }, ...fields });
  assertJob(job, room);
  return job;
}

/** The shape of a job, wherever it is read. */
export function assertJob(job, room) {
  const shown = JSON.stringify(job);
  assert.equal(job.room, room, shown);
  assert.equal(job.kind, 'ai.chat', shown);
  for (const field of ['id', 'message_id', 'state']) assert.equal(typeof job[field], 'string', shown);
  for (const field of ['attempt', 'max_attempts', 'created_at', 'run_at']) assert.ok(Number.isSafeInteger(job[field]), shown);
  assert.equal(typeof job.input.prompt, 'string', shown);
  assert.equal(ENDS.includes(job.state), Number.isSafeInteger(job.finished_at), shown);
}

const isFinal = (id) => (e) => e.type === 'message' && e.meta?.job === id;
const isDelta = (id) => (e) => e.type === 'answer_delta' && e.body.job === id;
const isState = (id, state) => (e) => e.type === 'job' && e.body.job === id && (!state || e.body.state === state);

export const queued = (client, job) => client.next((e) => e.type === 'message_queued' && e.body.job === job.id, ANSWER_MS);
export const state = (client, job, word, ms = ANSWER_MS) => client.next(isState(job.id, word), ms);
export const delta = (client, job, fits = () => true, ms = ANSWER_MS) => client.next((e) => isDelta(job.id)(e) && fits(e.body), ms);
export const final = (client, job, ms = ANSWER_MS) => client.next(isFinal(job.id), ms);

/** The text that a client shows after all the deltas it has seen: its attempt and its length. */
export function shownText(client, job) {
  let attempt = 0;
  let text = '';
  for (const { body } of client.all(isDelta(job.id))) {
    const where = JSON.stringify(body);
    assert.equal(body.message_id, job.message_id, where);
    assert.ok(body.text.length > 0, where);
    if (body.attempt > attempt) {
      [attempt, text] = [body.attempt, ''];
    }
    assert.equal(body.attempt, attempt, `an older attempt speaks: ${where}`);
    assert.equal(body.index, text.length, `${where} after ${text.length} code units`);
    text += body.text;
  }
  return { attempt, text };
}

/** Awaits the answer and asserts the whole course of it as this client saw it. Returns the envelope. */
export async function answer(client, job, { status = 'done', ms = ANSWER_MS } = {}) {
  const message = await final(client, job, ms);
  const shown = JSON.stringify(message);
  assertLogged(message, job.room);
  assert.equal(message.id, job.message_id, shown);
  assert.equal(message.from.user, 'ai', shown);
  assert.equal(typeof message.body.text, 'string', shown);
  assert.equal(message.meta.status, status, shown);
  assert.equal(message.meta.kind, 'ai.chat', shown);
  if (status === 'done') assert.equal(typeof message.meta.model, 'string', shown);
  const { text } = shownText(client, job);
  assert.ok(message.body.text.startsWith(text), `shown ${JSON.stringify(text)}, said ${shown}`);
  await state(client, job, status, ms);
  assertOnce(client, job);
  return message;
}

/** Never two final answers, and nothing of it after the end. */
export function assertOnce(client, job) {
  const finals = client.all(isFinal(job.id));
  assert.equal(finals.length, 1, JSON.stringify(finals));
  const end = client.seen.indexOf(finals[0]);
  const late = client.seen.slice(end).filter(isDelta(job.id));
  assert.deepEqual(late, [], 'no delta after the answer');
  const ends = client.all((e) => isState(job.id)(e) && ENDS.includes(e.body.state));
  assert.ok(ends.length <= 1, JSON.stringify(ends));
}

/** Reads a job over HTTP. */
export async function read(api, job) {
  const found = assertStatus(await api('GET', `/v1/rooms/${job.room}/jobs/${job.id}`), 200);
  assertJob(found, job.room);
  return found;
}

/** Reads it until it has ended, for where no event can be awaited. */
export function ended(api, job, { attempts = 300 } = {}) {
  return until(async () => {
    const found = await read(api, job);
    return ENDS.includes(found.state) && found;
  }, { attempts, label: `the end of job ${job.id}` });
}

/** Words of a file's paragraphs, without code blocks, tables and headings. */
export function paragraphs(text) {
  return text
    .replace(/```[\s\S]*?```/g, '')
    .split(/\n\s*\n|\n(?=- |\d+\. )/)
    .map((part) => part.trim())
    .filter((part) => part.length > 60 && part.length < 4_000 && !/^[#|]/.test(part));
}
