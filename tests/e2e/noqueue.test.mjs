// The same walk on a Worker without the queue binding: the room's own alarm runs the jobs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { fresh, withServer } from './support/fixture.mjs';
import { askAi, answer, ended } from './support/jobs.mjs';
import { assertStatus } from './support/http.mjs';
import { jobWalk } from './support/walk.mjs';

const at = withServer({ queue: false, vars: { JOBS_LEASE_MS: '3000' } });

describe('the walk, without a queue', () => jobWalk(at));

test('there really is none', () => {
  assert.doesNotMatch(fs.readFileSync(at.server.config, 'utf8'), /^\s*(\[\[?\s*)?queues\b/m);
});

test('a question outlives a kill', { timeout: 120_000 }, async () => {
  const room = fresh();
  const ana = await at.person('ana', room);
  await ana.say('The spare key hangs behind the door.');
  const job = await askAi(ana, 'Where does the spare key hang?');
  await at.server.restart();
  const api = at.as('ana');
  assert.equal((await ended(api, job)).state, 'done');
  const { messages } = assertStatus(await api('GET', `/v1/rooms/${room}/messages`), 200);
  assert.equal(messages.filter((e) => e.meta?.job === job.id).length, 1);
  const back = await at.person('ana', room);
  await answer(back, await askAi(back, 'And where does the spare key hang now?'));
});
