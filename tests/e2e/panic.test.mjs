// A panic in one room answers its caller and leaves everything else alone. A test-only build
// (feature `panic-route`, made by `scripts/build` into `build-panic/`) on the real runtime.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus } from './support/http.mjs';
import { ROOT } from './support/server.mjs';

const BUILD = path.join(ROOT, process.env.TERTULIA_PANIC_BUILD ?? 'build-panic');
const T = { timeout: 30_000 };

describe('a panic', () => {
  const at = withServer(() => {
    assert.ok(fs.existsSync(BUILD), `${BUILD} is missing: build with the feature panic-route first`);
    return { build: BUILD };
  });
  const panic = (room) => at.as('root', { scope: 'admin' })('POST', `/v1/rooms/${room}/panic`);

  test('answers its caller `internal`, soon', T, async () => {
    const problem = assertProblem(await panic(fresh()), 500, 'internal');
    assert.equal(problem.retryable, true);
    assert.doesNotMatch(JSON.stringify(problem), /panicked|src\//, 'no inner text');
  });

  test('leaves the other rooms alone: their sockets, their memory, their work in flight', T, async () => {
    const [broken, quiet] = [fresh('broken'), fresh('quiet')];
    const [ana, bob] = [await at.person('ana', quiet), await at.person('bob', quiet)];
    const { id } = await ana.ask('broadcast', { room: quiet, body: { text: 'before' }, ephemeral: true });
    const inFlight = Promise.all(Array.from({ length: 20 }, (_, i) => ana.say(`during ${i}`)));
    const panics = Promise.all(Array.from({ length: 3 }, () => panic(broken)));
    for (const answer of await panics) assertProblem(answer, 500, 'internal');
    await inFlight;
    await allAlive(ana, bob);
    const after = await ana.ask('broadcast', { room: quiet, body: { text: 'after' }, ephemeral: true });
    // `e-{boot}-{n}`: the same boot means that the machines were not rebuilt.
    assert.equal(after.id.split('-')[1], id.split('-')[1], 'its memory is the same');
    assertUntold(bob, 'error');
  });

  test('leaves the same room working: its sockets, its log, its order', T, async () => {
    const room = fresh('phoenix');
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const before = await ana.say('before');
    assertProblem(await panic(room), 500, 'internal');
    await allAlive(ana, bob);
    const { messages } = await ana.ask('history', { room });
    assert.equal(messages[0].id, before.id);
    assert.deepEqual(messages.map((e) => e.seq), messages.map((_, i) => before.seq + i));
    const { count } = await ana.ask('members', { room });
    assert.equal(count, 2);
  });

  test('harms nobody who shares its tick', T, async () => {
    const room = fresh('shared');
    const ana = await at.person('ana', room);
    const said = Array.from({ length: 30 }, (_, i) => ana.say(`n${i}`));
    const answer = panic(room);
    said.push(...Array.from({ length: 30 }, (_, i) => ana.say(`m${i}`)));
    assertProblem(await answer, 500, 'internal');
    const replies = await Promise.all(said);
    assert.deepEqual(replies.map((r) => r.seq), replies.map((_, i) => replies[0].seq + i), 'each is in the log, once, in order');
    const page = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/messages?limit=500`), 200);
    assert.equal(page.messages.length, 60);
  });
});

describe('the ordinary build', () => {
  const at = withServer();

  test('has no such route', T, async () => {
    assertProblem(await at.as('root', { scope: 'admin' })('POST', '/v1/rooms/r/panic'), 404, 'not_found');
  });
});
