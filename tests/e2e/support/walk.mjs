/** The walk of a question through a room, the same with a queue and without. Registers its tests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertLogged, fresh } from './fixture.mjs';
import { assertStatus } from './http.mjs';
import { answer, askAi, assertJob, queued, read, shownText, state } from './jobs.mjs';

const T = { timeout: 60_000 };

export function jobWalk(at) {
  test('a question: in the log and queued at once, streamed to all, answered once', T, async () => {
    const room = fresh('asked');
    const [ana, bob] = [await at.person('ana', room, { claims: { name: 'Ana' } }), await at.person('bob', room)];
    await bob.say('The kettle is in the left cupboard, behind the green teapot.');
    const job = await askAi(ana, 'Where is the kettle?', { corr: 'c-7' });
    assert.deepEqual([job.state, job.attempt, job.max_attempts], ['queued', 0, 5]);
    for (const client of [ana, bob]) {
      const prompt = await client.hear('Where is the kettle?');
      assertLogged(prompt, room);
      assert.equal(prompt.from.user, 'ana');
      const told = await queued(client, job);
      assertLogged(told, room);
      assert.deepEqual(told.body, { job: job.id, kind: 'ai.chat', message_id: job.message_id, prompt_id: prompt.id });
      assert.equal(told.seq, prompt.seq + 1, 'question and state in one turn');
    }
    const running = await state(ana, job, 'running');
    assertLogged(running, room);
    assert.deepEqual([running.body.attempt, running.body.max_attempts], [1, 5]);
    const said = await answer(ana, job);
    assert.match(said.body.text, /green teapot/);
    assert.match(said.body.text, /bob/i);
    assert.equal(shownText(ana, job).text, said.body.text, 'all of it was streamed');
    assert.deepEqual(await answer(bob, job), said);
    const order = ['message_queued', 'job', 'answer_delta', 'message'].map((type) => bob.seen.findIndex(
      (e) => e.type === type && (e.body?.job === job.id || e.meta?.job === job.id)));
    assert.deepEqual(order, [...order].sort((a, b) => a - b), 'queued, running, deltas, answer');
    const seqs = ana.seen.filter((e) => e.seq && e.type !== 'reply').map((e) => e.seq);
    assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i), 'no jump anywhere');

    const done = await read(at.as('bob'), job);
    assert.deepEqual([done.state, done.attempt], ['done', 1]);
    assert.equal(done.result.text, said.body.text);
    const { messages } = await ana.ask('history', { room });
    assert.equal(messages.filter((e) => e.meta?.job === job.id).length, 1);
    assert.equal(messages.filter((e) => e.type === 'answer_delta').length, 0, 'deltas are not logged');
  });

  test('over HTTP: 202 with the job, read, listed; nobody has to be in the room', T, async () => {
    const room = fresh('asked');
    const shop = at.as('shop');
    assertStatus(await shop('POST', `/v1/rooms/${room}/messages`, { body: { body: { text: 'Deliveries come through the north gate.' } } }), 202);
    const ana = await at.person('ana', room);
    const body = { kind: 'ai.chat', input: { prompt: 'Which gate do deliveries come through?' } };
    const job = assertStatus(await shop('POST', `/v1/rooms/${room}/jobs`, { body }), 202);
    assertJob(job, room);
    const said = await answer(ana, job);
    assert.match(said.body.text, /north gate/);
    const { jobs } = assertStatus(await shop('GET', `/v1/rooms/${room}/jobs?state=done`), 200);
    assert.deepEqual(jobs.map((j) => j.id), [job.id]);
    assert.deepEqual(assertStatus(await shop('GET', `/v1/rooms/${room}/jobs?state=queued`), 200).jobs, []);
  });

  test('several questions at once are answered one after the other, each once', T, async () => {
    const room = fresh('asked');
    const ana = await at.person('ana', room);
    await ana.say('Lunch is at one in the blue room.');
    const jobs = await Promise.all(['When is lunch?', 'Which room is lunch in?', 'Is lunch at one?'].map((q) => askAi(ana, q)));
    const finals = [];
    for (const job of jobs) finals.push(await answer(ana, job));
    assert.deepEqual(finals.map((e) => e.seq), finals.map((e) => e.seq).sort((a, b) => a - b), 'in order of age');
    const course = ana.all((e) => e.type === 'job' && ['running', 'done'].includes(e.body.state)).map((e) => [e.body.job, e.body.state]);
    assert.deepEqual(course, jobs.flatMap(({ id }) => [[id, 'running'], [id, 'done']]), 'one at a time');
  });
}
