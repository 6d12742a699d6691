// Ask it something: the built-in provider, through the queue, on the real runtime.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { enter } from './support/client.mjs';
import { allAlive, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus } from './support/http.mjs';
import { answer, askAi, assertJob, ended, paragraphs, queued, read, state } from './support/jobs.mjs';
import { ROOT } from './support/server.mjs';
import { jobWalk } from './support/walk.mjs';

const at = withServer({ vars: { ALLOW_GUESTS: 'true', RATE_MESSAGES_PER_S: '500' } });
const T = { timeout: 60_000 };

describe('the walk, with the queue', () => jobWalk(at));

describe('real input', () => {
  const file = (name) => fs.readFileSync(path.join(ROOT, name), 'utf8');
  /** Question, and a piece of the one sentence of ARCHITECTURE.md that answers it. */
  const QUESTIONS = [
    ['Does a room learn which protocol a socket speaks?', 'A room never learns which protocol a socket speaks'],
    ['Is a row written per heartbeat?', 'no row per heartbeat'],
    ['Is there a Redis, a broker or an actor framework?', 'No Redis'],
    ['What may the alarm never return?', '`alarm` never returns an error'],
  ];

  test('README and ARCHITECTURE by three people: the answer quotes the right one and names its author', { timeout: 120_000 }, async () => {
    const room = fresh('library');
    const people = [];
    for (const name of ['Ana', 'Bob', 'Eva']) people.push(await at.person(name.toLowerCase(), room, { claims: { name } }));
    const written = [];
    const parts = [...paragraphs(file('README.md')), ...paragraphs(file('ARCHITECTURE.md'))];
    assert.ok(parts.length >= 20, `${parts.length} paragraphs`);
    for (const [i, part] of parts.entries()) {
      const author = people[i % 3];
      await author.say(part);
      written.push({ author: author.joined.members.find((m) => m.user === author.user).name, part: squeezed(part) });
    }
    const asked = QUESTIONS.filter(([, quote]) => written.some(({ part }) => part.includes(squeezed(quote))));
    assert.ok(asked.length >= 2, 'ARCHITECTURE.md no longer says what this test asks for: adapt QUESTIONS');
    const dan = await at.person('dan', room);
    for (const [question, quote] of asked) {
      const said = await answer(dan, await askAi(dan, question));
      const text = squeezed(said.body.text);
      const at = text.indexOf(squeezed(quote));
      assert.ok(at >= 0, `${question}\n${said.body.text}`);
      const authors = written.filter(({ part }) => part.includes(squeezed(quote))).map(({ author }) => author);
      const line = squeezed(said.body.text.split('\n').find((one) => squeezed(one).includes(squeezed(quote))) ?? text);
      assert.ok(authors.some((author) => line.includes(author)), `${authors} should be named: ${line}`);
    }
  });

  test('it says so when it has nothing', T, async () => {
    const ana = await at.person('ana', fresh());
    await ana.say('The kettle is green.');
    const said = await answer(ana, await askAi(ana, 'Who won the chess tournament of 1972?'));
    assert.match(said.body.text, /nothing/i);
    assert.doesNotMatch(said.body.text, /kettle/);
  });

  test('text outside ASCII: indices count UTF-16 code units', T, async () => {
    const ana = await at.person('ana', fresh());
    await ana.say('El código del 🚪 portón es 😀😀 cuarenta y dos, según Íñigo 👩‍👩‍👧.');
    const said = await answer(ana, await askAi(ana, '¿Cuál es el código del portón?'));
    assert.match(said.body.text, /cuarenta y dos/);
  });
});

const squeezed = (text) => text.replace(/\s+/g, ' ');

describe('asking', () => {
  test('the same key is the same job, over both ways; with another question it is a conflict', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const job = await askAi(ana, 'Anything?', { key: 'k-1' });
    const again = await askAi(ana, 'Anything?', { key: 'k-1' });
    assert.equal(again.id, job.id);
    const body = { kind: 'ai.chat', input: { prompt: 'Anything?' }, key: 'k-1' };
    assert.equal(assertStatus(await at.as('ana')('POST', `/v1/rooms/${room}/jobs`, { body }), 202).id, job.id);
    await ana.refused('job', { room, ...body, input: { prompt: 'Something else?' } }, 'conflict');
    await answer(ana, job);
    await allAlive(ana);
    assert.equal(ana.all('message_queued').length, 1);
    assert.equal(ana.all((e) => e.body?.text === 'Anything?').length, 1, 'the question is logged once');
  });

  test('an unknown kind, a missing or endless prompt, nonsense in the numbers', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const api = at.as('ana');
    const unknown = ['invalid_payload', 'unsupported', 'not_found'];
    await ana.refused('job', { room, kind: 'make.coffee', input: { prompt: 'x' } }, ...unknown);
    assertProblem(await api('POST', `/v1/rooms/${room}/jobs`, { body: { kind: 'make.coffee', input: {} } }), 400, ...unknown);
    const ok = { room, kind: 'ai.chat', input: { prompt: 'x' } };
    const wrong = [{ input: {} }, { input: 'x' }, { input: { prompt: 7 } }, { input: { prompt: '' } }, { input: undefined },
      { input: { prompt: 'x'.repeat(40_000) } }, { priority: 101 }, { priority: 1.5 }, { delay_ms: -1 }, { max_attempts: 0 },
      { key: 7 }, { input: { prompt: 'x', max_tokens: -1 } }];
    for (const fields of wrong) await ana.refused('job', { ...ok, ...fields }, 'invalid_payload', 'too_big');
    await allAlive(ana);
    assert.deepEqual(assertStatus(await api('GET', `/v1/rooms/${room}/jobs`), 200).jobs, []);
    assert.equal(ana.all('message_queued').length, 0);
  });

  test('a delayed one waits, and can be cancelled while it does; cancelling again changes nothing', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const job = await askAi(ana, 'Later?', { delay_ms: 3_600_000 });
    assert.equal(job.state, 'delayed');
    await queued(ana, job);
    assert.equal((await ana.ask('cancel', { room, job: job.id })).state, 'cancelled');
    await state(ana, job, 'cancelled');
    assert.equal((await ana.ask('cancel', { room, job: job.id })).state, 'cancelled');
    assert.equal((await read(at.as('ana'), job)).state, 'cancelled');
    const soon = await askAi(ana, 'Soon?', { delay_ms: 1_500 });
    const said = await answer(ana, soon);
    assert.ok(said.ts >= soon.created_at + 1_500, 'not before its time');
  });

  test('reading and steering what is not there is not_found; a done job is neither retried nor cancelled', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const api = at.as('ana');
    const jobs = `/v1/rooms/${room}/jobs`;
    const job = await askAi(ana, 'One?');
    await answer(ana, job);
    for (const id of ['000000000000-j1', 'nonsense', `${job.id}9`]) {
      assertProblem(await api('GET', `${jobs}/${id}`), 404, 'not_found');
      assertProblem(await api('POST', `${jobs}/${id}/cancel`), 404, 'not_found');
      assertProblem(await api('POST', `${jobs}/${id}/retry`), 404, 'not_found');
    }
    await ana.refused('cancel', { room, job: 'nonsense' }, 'not_found');
    assertProblem(await api('POST', `${jobs}/${job.id}/retry`), 409, 'conflict');
    assert.equal((await ana.ask('cancel', { room, job: job.id })).state, 'done');
    assertProblem(await api('GET', `${jobs}?state=asleep`), 400, 'invalid_payload');
    assertProblem(await api('PUT', jobs), 405, 'method_not_allowed');
  });

  test('scopes: jobs:write to ask, jobs:read to read', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room, { claims: { scope: 'rooms:join rooms:publish' } });
    const refused = await ana.refused('job', { room, kind: 'ai.chat', input: { prompt: 'x' } }, 'forbidden');
    assert.match(refused.detail, /jobs:write/);
    await ana.refused('cancel', { room, job: 'abcdefabcdef-j1' }, 'forbidden');
    const none = at.as('ana', { scope: 'rooms:join' });
    const problem = assertProblem(await none('GET', `/v1/rooms/${room}/jobs`), 403, 'forbidden');
    assert.match(problem.detail, /jobs:read/);
    assertProblem(await none('POST', `/v1/rooms/${room}/jobs`, { body: { kind: 'ai.chat', input: { prompt: 'x' } } }), 403, 'forbidden');
  });

  test('a room nobody is in is asked over HTTP and answers into its log', T, async () => {
    const room = fresh('empty');
    const api = at.as('shop');
    const body = { kind: 'ai.chat', input: { prompt: 'Anybody?' } };
    const job = assertStatus(await api('POST', `/v1/rooms/${room}/jobs`, { body, headers: { 'idempotency-key': 'once' } }), 202);
    assertJob(job, room);
    const done = await ended(api, job);
    assert.equal(done.state, 'done');
    const ana = at.as('ana');
    const { messages } = assertStatus(await ana('GET', `/v1/rooms/${room}/messages`), 200);
    assert.equal(messages[0].body.text, 'Anybody?');
    assert.equal(messages.filter((e) => e.meta?.job === job.id).length, 1);
  });

  test('a guest may ask three times a minute', T, async () => {
    const room = fresh();
    const vera = await enter({ url: at, query: { conversationId: room, guest: 'v'.repeat(16) } });
    for (let i = 0; i < 3; i += 1) await answer(vera, await askAi(vera, `Question ${i}?`));
    const error = await vera.refused('job', { room, kind: 'ai.chat', input: { prompt: 'One more?' } }, 'rate_limited');
    assert.equal(error.retryable, true);
    const other = await enter({ url: at, query: { conversationId: room, guest: 'w'.repeat(16) } });
    await askAi(other, 'And me?');
    await allAlive(vera, other);
  });
});
