// The process dies as processes do (SIGKILL) and starts again on the same storage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { assertStatus } from './support/http.mjs';

const at = withServer({ vars: { PRESENCE_GRACE_MS: '1000', RATE_MESSAGES_PER_S: '0' } });

const about = (type, user) => (e) => e.type === type && e.body.user === user;

test('the log is there, who returns misses nothing, the members converge', { timeout: 180_000 }, async () => {
  const room = fresh('town');
  const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
  const eva = await at.person('eva', room);
  const texts = Array.from({ length: 30 }, (_, i) => `m${i}`);
  for (const text of texts) await ana.say(text);
  const seen = await bob.hear('m9');
  await bob.hear('m29');
  const keyed = { room, body: { text: 'keyed' }, key: 'over-the-crash' };
  const before = await ana.ask('broadcast', keyed);
  const log = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/messages?limit=500`), 200);

  await at.server.restart();
  for (const client of [ana, bob, eva]) await client.ended();
  const after = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/messages?limit=500`), 200);
  assert.deepEqual(after, log, 'what was answered was kept');

  const back = await at.person('bob', room, { query: { epoch: seen.epoch, seq: seen.seq } });
  assert.equal(back.joined.epoch, log.epoch);
  assert.equal(back.joined.recovered, true);
  assert.deepEqual(back.joined.missed.map((e) => e.body.text), [...texts.slice(10), 'keyed']);
  const ana2 = await at.person('ana', room, { query: { epoch: before.epoch ?? log.epoch, seq: before.seq } });
  assert.deepEqual(ana2.joined.missed, []);
  assert.deepEqual(await ana2.ask('broadcast', keyed), before, 'a key outlives a crash');
  assert.equal((await ana2.say('next')).seq, before.seq + 1, 'seq goes on');
  await allAlive(ana2, back);

  // Eva does not come back: her sockets are gone, and after the grace so is she.
  const lost = await back.next(about('user_left', 'eva'), 100_000);
  assert.ok(['lost', 'dropped'].includes(lost.body.reason), lost.body.reason);
  await allAlive(ana2, back);
  for (const user of ['ana', 'bob']) assertUntold(back, about('user_left', user), 'who came back never left');
  const { count, members } = await back.ask('members', { room });
  assert.deepEqual([count, members.map((m) => [m.user, m.connections])], [2, [['ana', 1], ['bob', 1]]]);
});

test('killed in the middle of a burst: what was answered is there, in order, once', { timeout: 120_000 }, async () => {
  const room = fresh('burst');
  const ana = await at.person('ana', room);
  const answered = [];
  const asked = Array.from({ length: 2_000 }, (_, i) =>
    ana.say(`b${i}`).then(({ seq, id }) => answered.push([seq, id, `b${i}`]), () => {}));
  await asked[20];
  await at.server.restart();
  await Promise.all(asked);
  assert.ok(answered.length > 0);
  const messages = [];
  for (let after = 0; after !== null;) {
    const page = assertStatus(await at.as('ana')('GET', `/v1/rooms/${room}/messages?limit=500&after=${after}`), 200);
    messages.push(...page.messages);
    after = page.next;
  }
  const kept = messages.map((e) => [e.seq, e.id, e.body.text]);
  assert.deepEqual(kept.slice(0, answered.length), answered, 'nothing that was answered is lost');
  const first = kept[0][0];
  assert.deepEqual(kept, kept.map(([, id], i) => [first + i, id, `b${i}`]), 'a prefix of what was said');
});
