// Signs of life: silence, its end, those who never ping, long heartbeats, and big rooms.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';

const [TTL_MS, GRACE_MS, BEAT_MS] = [2_000, 1_000, 500];
/** TTL, grace, the grid of both, and some. */
const GONE_MS = TTL_MS + GRACE_MS + 6_000;
const at = withServer({
  vars: { PRESENCE_TTL_MS: String(TTL_MS), PRESENCE_GRACE_MS: String(GRACE_MS), HEARTBEAT_MS: String(BEAT_MS) },
});
const T = { timeout: 60_000 };

const about = (type, user) => (e) => e.type === type && e.body.user === user;

describe('silence', () => {
  test('who stops pinging is gone with reason silent, keeps its socket, and is back with the next sign', T, async () => {
    const room = fresh();
    const cat = await at.person('cat', room); // never pings, as wscat: lives until it closes
    const phone = await at.person('phone', room); // pings once, but said it would be slow
    await phone.ask('heartbeat', { every_ms: 60_000 });
    phone.raw('ping');
    const bob = await at.person('bob', room, { ping: BEAT_MS });
    const ana = await at.person('ana', room);
    assert.equal(ana.hello.heartbeat_ms, BEAT_MS);
    await bob.next(about('user_joined', 'ana'));
    ana.raw('ping');
    await ana.next('pong');

    const left = await bob.next(about('user_left', 'ana'), GONE_MS);
    assert.equal(left.body.reason, 'silent');
    assert.ok(ana.isOpen);
    await bob.say('ana still hears this');
    await ana.hear('ana still hears this');
    const { members } = await bob.ask('members', { room });
    assert.deepEqual(members.map((m) => m.user), ['bob', 'cat', 'phone'], 'the others are still there');

    ana.raw('ping');
    await bob.next(about('user_joined', 'ana'), TTL_MS + 4_000);
    const now = await bob.ask('members', { room });
    assert.ok(now.members.some((m) => m.user === 'ana'));
    for (const user of ['bob', 'cat', 'phone']) assertUntold(cat, about('user_left', user));
    await allAlive(bob, cat, phone);
  });

  test('a message is as good a sign as a ping', T, async () => {
    const room = fresh();
    const bob = await at.person('bob', room, { ping: BEAT_MS });
    const ana = await at.person('ana', room);
    await bob.next(about('user_joined', 'ana'));
    ana.raw('ping');
    await bob.next(about('user_left', 'ana'), GONE_MS);
    await ana.say('here I am');
    await bob.hear('here I am');
    await bob.next(about('user_joined', 'ana'), 3_000);
  });

  test('who keeps pinging stays', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room, { ping: BEAT_MS }), await at.person('bob', room, { ping: BEAT_MS })];
    // The clock of this test: somebody who came after them and has fallen silent.
    const eva = await at.person('eva', room);
    eva.raw('ping');
    await ana.next(about('user_left', 'eva'), GONE_MS);
    await allAlive(ana, bob);
    assertUntold(ana, about('user_left', 'bob'));
    assertUntold(bob, about('user_left', 'ana'));
  });

  test('one live device is enough', T, async () => {
    const room = fresh();
    const bob = await at.person('bob', room, { ping: BEAT_MS });
    const silent = await at.person('ana', room);
    const live = await at.person('ana', room, { ping: BEAT_MS });
    silent.raw('ping');
    const eva = await at.person('eva', room);
    eva.raw('ping');
    await bob.next(about('user_left', 'eva'), GONE_MS);
    await allAlive(bob, live, silent);
    assertUntold(bob, about('user_left', 'ana'));
  });
});

describe('a room of more than 200', () => {
  test('counts instead of naming each, and names again when it is small', { timeout: 120_000 }, async () => {
    const room = fresh('crowd');
    const ana = await at.person('ana', room);
    const crowd = [];
    while (crowd.length < 205) {
      const more = Array.from({ length: 41 }, (_, i) => at.person(`u${String(crowd.length + i).padStart(3, '0')}`, room));
      crowd.push(...await Promise.all(more));
    }
    const isReset = (e) => e.type === 'members' && e.body.reset === true;
    const reset = await ana.next(isReset);
    assert.ok(reset.body.count > 200, JSON.stringify(reset.body).slice(0, 200));
    assert.equal(reset.room, room);
    const late = await at.person('late', room);
    assert.equal(late.joined.presence, 'counted');
    assert.equal(late.joined.count, 207);
    assert.equal(late.joined.members.length, 100);
    const counted = await ana.next((e) => e.type === 'members' && e.body.count === 207);
    assert.ok(Array.isArray(counted.body.joined) && counted.body.joined.length <= 20);
    assert.ok(ana.all('user_joined').length <= 200);
    assertUntold(ana, about('user_joined', 'late'), 'nobody is named any more');
    const found = [];
    for (let after; after !== null;) {
      const page = await ana.ask('members', { room, limit: 100, ...(after ? { after } : {}) });
      found.push(...page.members.map((m) => m.user));
      after = page.next;
    }
    assert.equal(new Set(found).size, 207);

    const before = ana.all('user_left').length;
    await Promise.all(crowd.slice(0, 60).map((client) => client.close()));
    const small = await ana.next((e) => isReset(e) && e.body.count < 150, 20_000);
    assert.ok(small.body.count >= 145, JSON.stringify(small.body).slice(0, 200));
    await late.close();
    await ana.next(about('user_left', 'late'));
    assert.ok(ana.all('user_left').length - before < 20, 'most left while it counted');
  });
});
