// The server dies in the middle of an answer: it is given once, whoever looks and whenever.
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { fresh, withServer } from './support/fixture.mjs';
import { assertStatus } from './support/http.mjs';
import { answer, askAi, assertOnce, delta, ended, read, shownText } from './support/jobs.mjs';
import { startOpenAi } from './support/openai.mjs';

const LEASE_MS = 3_000;
const T = { timeout: 180_000 };

/** The same with the queue and without it. */
for (const queue of [true, false]) {
  describe(`killed, ${queue ? 'with' : 'without'} a queue`, () => {
    let ai;
    const at = withServer(async () => {
      ai = await startOpenAi();
      const vars = {
        AI_PROVIDER: 'openai', AI_BASE_URL: ai.url, AI_MODEL: 'test-model', AI_TIMEOUT_S: '10',
        JOBS_LEASE_MS: String(LEASE_MS), JOBS_BACKOFF_MS: '200', PRESENCE_GRACE_MS: '1000', BREAKER_FAILURES: '1000',
      };
      return { queue, vars };
    });
    after(() => ai?.close());
    beforeEach(() => ai?.reset());

    /** Kills in the middle of the words, and starts again. */
    async function killedWhileAnswering(room) {
      const ana = await at.person('ana', room);
      ai.script({ mode: 'hang_after', after: 2, text: 'these words are lost' });
      const job = await askAi(ana, 'Will it survive?');
      const { seq, epoch } = await ana.next('message_queued');
      await delta(ana, job, ({ text }) => text.includes('words'));
      ai.script({ mode: 'ok', text: 'it did survive' });
      await at.server.restart();
      await ai.next('aborted');
      return { job, since: { epoch, seq } };
    }

    test('who comes back sees the end of it, once', T, async () => {
      const room = fresh('crash');
      const { job, since } = await killedWhileAnswering(room);
      const begun = Date.now();
      const [ana, bob] = [await at.person('ana', room, { query: since }), await at.person('bob', room)];
      assert.equal(ana.joined.recovered, true);
      // The lease may end before or after the return: the log says so either way.
      const missed = ana.joined.missed.map((e) => [e.type, e.body.state]);
      assert.ok(missed.length > 0);
      assert.deepEqual(missed, [['job', 'running'], ['job', 'retrying']].slice(0, missed.length));
      for (const writing of ana.joined.answers) assert.ok('these words are lost'.startsWith(writing.text), writing.text);
      const said = await answer(ana, job);
      assert.ok(Date.now() - begun < LEASE_MS + 10_000, 'within lease and back-off');
      assert.equal(said.body.text, 'it did survive');
      const shown = shownText(ana, job);
      assert.ok(shown.attempt === 2 && said.body.text === shown.text, JSON.stringify(shown));
      assert.deepEqual(await answer(bob, job), said);
      const next = await answer(ana, await askAi(ana, 'And now?'));
      assert.ok(next.seq > said.seq);
      assertOnce(ana, job);
      const { messages } = await ana.ask('history', { room, limit: 500 });
      assert.equal(messages.filter((e) => e.meta?.job === job.id).length, 1, 'one answer in the log');
      assert.equal((await read(at.as('ana'), job)).attempt, 2);
    });

    test('it ends without anybody there', T, async () => {
      const room = fresh('crash');
      const { job } = await killedWhileAnswering(room);
      // The provider hears of the second attempt before anybody looks: the alarm alone brought it.
      await ai.next('request');
      await ai.next('request', { timeout_ms: 60_000 });
      assert.equal((await ended(at.as('ana'), job)).state, 'done');
      const { messages } = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/messages`), 200);
      assert.equal(messages.filter((e) => e.meta?.job === job.id).length, 1);
    });

    test('killed again and again, at any moment, it is answered once', T, async () => {
      const room = fresh('crash');
      const ana = await at.person('ana', room);
      ai.otherwise({ mode: 'slow', delay_ms: 100, text: 'a b c d e f g h' });
      const job = await askAi(ana, 'How many lives?', { max_attempts: 20 });
      await ai.next('request');
      for (const chunks of [1, 4, 7]) {
        for (let i = 0; i < chunks; i += 1) await ai.next('chunk').catch(() => {});
        await at.server.restart();
        const { state } = await read(at.as('ana'), job);
        if (state === 'done') break;
        await ai.next('request', { timeout_ms: 60_000 });
      }
      const back = await at.person('ana', room);
      const { attempt } = await ended(at.as('ana'), job);
      assert.ok(attempt <= 20);
      const { messages } = await back.ask('history', { room, limit: 500 });
      const finals = messages.filter((e) => e.meta?.job === job.id);
      assert.deepEqual(finals.map((e) => [e.id, e.body.text]), [[job.message_id, 'a b c d e f g h']]);
    });
  });
}
