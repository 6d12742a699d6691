// Answers from an OpenAI-compatible server that misbehaves in every way it can.
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { allAlive, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus } from './support/http.mjs';
import { answer, askAi, assertOnce, delta, ended, queued, read, shownText, state } from './support/jobs.mjs';
import { startOpenAi } from './support/openai.mjs';
import { freePort } from './support/wait.mjs';

const KEY = 'sk-e2e-not-a-secret';
const T = { timeout: 60_000 };
const VARS = {
  AI_PROVIDER: 'openai',
  AI_MODEL: 'test-model',
  AI_API_KEY: KEY,
  AI_TIMEOUT_S: '4',
  JOBS_BACKOFF_MS: '200',
  JOBS_LEASE_MS: '3000',
  JOBS_MAX_ATTEMPTS: '3',
  BREAKER_FAILURES: '1000',
};

let ai;
const at = withServer(async () => {
  ai = await startOpenAi();
  return { vars: { ...VARS, AI_BASE_URL: ai.url } };
});
after(() => ai?.close());
beforeEach(() => ai?.reset());

/** Ana and Bob in a room of their own. */
async function two() {
  const room = fresh('ai');
  return { room, ana: await at.person('ana', room, { claims: { name: 'Ana' } }), bob: await at.person('bob', room) };
}

describe('well', () => {
  test('is asked with the model, the key and the room, and its words are the answer', T, async () => {
    const { ana, bob } = await two();
    await bob.say('The bridge is closed on Mondays.');
    ai.script({ mode: 'ok', text: 'It is closed on Mondays, ñ 😀 included.' });
    const job = await askAi(ana, 'When is the bridge closed?');
    const said = await answer(ana, job);
    assert.equal(said.body.text, 'It is closed on Mondays, ñ 😀 included.');
    assert.equal(shownText(ana, job).text, said.body.text);
    assert.equal(said.meta.model, 'test-model');
    assert.deepEqual(await answer(bob, job), said);
    const [request] = ai.requests;
    assert.ok(request.authorized);
    assert.equal(request.body.stream, true);
    assert.equal(request.body.model, 'test-model');
    assert.equal(request.question, 'When is the bridge closed?');
    const context = request.body.messages.slice(0, -1).map((m) => m.content).join('\n');
    assert.match(context, /bob: The bridge is closed on Mondays\./);
    assert.ok(!at.server.logs.some((line) => line.includes(KEY)), 'the key is in no log');
  });

  test('the words reach the room as they come; a newcomer gets what there is and then the rest', T, async () => {
    const { room, ana } = await two();
    ai.script({ mode: 'hang_after', after: 3, text: 'one two three four five' });
    const job = await askAi(ana, 'Count!');
    await delta(ana, job, ({ text }) => text.includes('three'));
    const request = await ai.next('request');
    assert.equal(request.chunks, 3, 'the provider is not at its end');
    const late = await at.person('late', room);
    const [writing] = late.joined.answers;
    assert.deepEqual(writing, { message_id: job.message_id, job: job.id, attempt: 1, text: 'one two three' });
    request.release();
    const said = await answer(ana, job);
    assert.equal(said.body.text, 'one two three four five');
    let text = writing.text;
    for (const { body } of late.all('answer_delta')) {
      assert.equal(body.index, text.length, 'goes on where `answers` ended');
      text += body.text;
    }
    assert.deepEqual(await late.next((e) => e.id === job.message_id), said);
    assert.ok(said.body.text.startsWith(text));
  });

  test('a server that ignores stream is understood', T, async () => {
    const { ana } = await two();
    ai.script({ mode: 'json', text: 'all in one piece' });
    assert.equal((await answer(ana, await askAi(ana, 'Stream?'))).body.text, 'all in one piece');
  });

  test('one at a time in a room, by priority and age', T, async () => {
    const { room, ana } = await two();
    ai.script({ mode: 'hang_after', after: 1, text: 'first answer' });
    const jobs = [await askAi(ana, 'q1')];
    await delta(ana, jobs[0]);
    jobs.push(await askAi(ana, 'q2, low', { priority: -5 }));
    jobs.push(await askAi(ana, 'q3'), await askAi(ana, 'q4, high', { priority: 7 }), await askAi(ana, 'q5'));
    for (const job of jobs.slice(1)) await queued(ana, job);
    const { jobs: waiting } = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/jobs?state=queued`), 200);
    assert.equal(waiting.length, 4);
    assert.equal(ai.requests.length, 1, 'the second waits for the end of the first');
    ai.requests[0].release();
    for (const job of jobs) await answer(ana, job);
    assert.deepEqual(ai.requests.map((r) => r.question), ['q1', 'q4, high', 'q3', 'q5', 'q2, low']);
  });
});

describe('failing', () => {
  const failures = [
    ['500', '500', 1],
    ['429 with Retry-After', { mode: '429', retry_after: 1 }, 1],
    ['cut in the middle', { mode: 'cut', after: 2, text: 'these words are lost again' }, 1],
    ['an error in the stream', { mode: 'error', after: 2, text: 'these words are lost again' }, 1],
    ['no answer at all', 'hang', 1],
    ['silence in the middle', { mode: 'hang_after', after: 2, text: 'these words are lost again' }, 1],
    ['twice', { mode: 'cut', after: 1, times: 2, text: 'these words are lost again' }, 2],
  ];
  for (const [what, step, times] of failures) {
    test(`${what}: retrying, then a higher attempt from 0, one answer`, T, async () => {
      const { ana, bob } = await two();
      ai.script([step, { mode: 'ok', text: 'good at last' }]);
      const job = await askAi(ana, 'Will it work?');
      for (let attempt = 1; attempt <= times; attempt += 1) {
        const { body } = await state(ana, job, 'retrying');
        assert.equal(body.attempt, attempt);
        assert.ok(body.error.length > 0);
        assert.doesNotMatch(body.error, /scripted|sk-e2e/, 'texts of the provider stay inside');
      }
      const said = await answer(ana, job);
      assert.equal(said.body.text, 'good at last');
      assert.deepEqual(shownText(ana, job), { attempt: times + 1, text: 'good at last' });
      assert.equal(said.meta.job, job.id);
      assert.deepEqual(await answer(bob, job), said);
      assert.equal((await read(at.as('ana'), job)).attempt, times + 1);
      await allAlive(ana, bob);
      assertOnce(ana, job);
    });
  }

  test('429: not before the time it asked for', T, async () => {
    const { ana } = await two();
    ai.script([{ mode: '429', retry_after: 2 }, 'ok']);
    const job = await askAi(ana, 'Too often?');
    const retrying = await state(ana, job, 'retrying');
    const running = await state(ana, job, 'running').then(() => state(ana, job, 'running'));
    assert.ok(running.ts - retrying.ts >= 2_000, `${running.ts - retrying.ts} ms`);
    await answer(ana, job);
  });

  test('attempts spent: dead, with the text there was; redriven once, as a new job', T, async () => {
    const { room, ana, bob } = await two();
    ai.script({ mode: 'cut', after: 2, times: 3, text: 'half an answer only' });
    const job = await askAi(ana, 'Will it ever?');
    const said = await answer(ana, job, { status: 'dead' });
    assert.equal(said.body.text, 'half an');
    const api = at.as('ana');
    const dead = await read(api, job);
    assert.deepEqual([dead.state, dead.attempt, dead.max_attempts], ['dead', 3, 3]);
    assert.ok(dead.error.length > 0);
    await answer(bob, job, { status: 'dead' });

    ai.script({ mode: 'ok', text: 'a whole one' });
    const again = assertStatus(await api('POST', `/v1/rooms/${room}/jobs/${job.id}/retry`), 202);
    assert.equal(again.retried_from, job.id);
    assert.notEqual(again.id, job.id);
    assert.notEqual(again.message_id, job.message_id);
    assert.equal(again.input.prompt, 'Will it ever?');
    assert.equal((await answer(ana, again)).body.text, 'a whole one');
    assertProblem(await api('POST', `/v1/rooms/${room}/jobs/${job.id}/retry`), 409, 'conflict');
    assert.equal((await read(api, job)).state, 'dead', 'the dead one stays');
    assertOnce(ana, job);
    const { jobs } = assertStatus(await api('GET', `/v1/rooms/${room}/jobs?state=dead`), 200);
    assert.deepEqual(jobs.map((j) => j.id), [job.id]);
  });

  test('what a retry cannot cure is dead at once, and the next question is answered', T, async () => {
    const { ana } = await two();
    ai.script(['401', { mode: 'ok', text: 'next' }]);
    const [job, next] = [await askAi(ana, 'Wrong key?'), await askAi(ana, 'Next?')];
    await answer(ana, job, { status: 'dead' });
    assert.equal((await read(at.as('ana'), job)).attempt, 1);
    assert.equal((await answer(ana, next)).body.text, 'next');
  });

  test('max_attempts of a job is its own', T, async () => {
    const { ana } = await two();
    ai.script({ mode: '500', times: 5 });
    const job = await askAi(ana, 'Once only?', { max_attempts: 1 });
    await answer(ana, job, { status: 'dead' });
    assert.equal(ai.requests.length, 1);
  });
});

describe('cancelled', () => {
  test('while it runs: the provider is left, the text so far is the answer, once', T, async () => {
    const { room, ana, bob } = await two();
    ai.script({ mode: 'hang_after', after: 2, text: 'never to be finished' });
    const job = await askAi(ana, 'Stop me?');
    await delta(ana, job, ({ text }) => text.includes('to'));
    assert.equal((await ana.ask('cancel', { room, job: job.id })).state, 'cancelled');
    const said = await answer(ana, job, { status: 'cancelled' });
    assert.equal(said.body.text, 'never to');
    const request = await ai.next('aborted');
    assert.equal(request.question, 'Stop me?');
    assert.deepEqual(await answer(bob, job, { status: 'cancelled' }), said);
    ai.script({ mode: 'ok', text: 'next' });
    assert.equal((await answer(ana, await askAi(ana, 'Next?'))).body.text, 'next');
    assertOnce(ana, job);
    assert.equal((await read(at.as('ana'), job)).state, 'cancelled');
  });

  test('over HTTP, while it waits for its turn: it never reaches the provider', T, async () => {
    const { room, ana } = await two();
    ai.script({ mode: 'hang_after', after: 1, text: 'first answer' });
    const first = await askAi(ana, 'first');
    await delta(ana, first);
    const second = await askAi(ana, 'second');
    const cancelled = await at.as('bob')('POST', `/v1/rooms/${room}/jobs/${second.id}/cancel`);
    assert.ok(cancelled.status < 300, `${cancelled.status} ${cancelled.text}`);
    await state(ana, second, 'cancelled');
    ai.requests[0].release();
    await answer(ana, first);
    await answer(ana, await askAi(ana, 'third'));
    assert.deepEqual(ai.requests.map((r) => r.question), ['first', 'third']);
  });
});

describe('down', () => {
  const down = withServer(async () => ({
    vars: { ...VARS, AI_BASE_URL: `http://127.0.0.1:${await freePort()}/v1`, JOBS_MAX_ATTEMPTS: '2' },
  }));

  test('nobody listens there: retried, then dead with a clear error; the room is well', T, async () => {
    const room = fresh();
    const [ana, bob] = [await down.person('ana', room), await down.person('bob', room)];
    const job = await askAi(ana, 'Anybody?');
    await state(ana, job, 'retrying');
    await answer(ana, job, { status: 'dead' });
    const dead = await ended(down.as('ana'), job);
    assert.deepEqual([dead.state, dead.attempt], ['dead', 2]);
    assert.ok(dead.error.length > 10, dead.error);
    await allAlive(ana, bob);
  });
});
