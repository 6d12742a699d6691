// Who is in a room: coming, going, devices, grace, what members show.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';

const GRACE_MS = 3_000;
const at = withServer({ vars: { PRESENCE_GRACE_MS: String(GRACE_MS) } });
const T = { timeout: 30_000 };

const about = (type, user) => (e) => e.type === type && e.body.user === user;

describe('coming and going', () => {
  test('others are told of a newcomer, who is not told of itself', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const bob = await at.person('bob', room, { claims: { name: 'Bob' } });
    const told = await ana.next('user_joined');
    assert.equal(told.room, room);
    assert.equal(told.body.user, 'bob');
    assert.equal(told.body.name, 'Bob');
    assert.ok(!('seq' in told), 'presence is not logged');
    assert.deepEqual(bob.joined.members.map((m) => m.user).sort(), ['ana', 'bob']);
    assert.equal(bob.joined.count, 2);
    await allAlive(ana, bob);
    assertUntold(bob, about('user_joined', 'bob'));
  });

  test('leave is told at once with its reason', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    await bob.ask('leave', { room });
    const told = await ana.next('user_left', GRACE_MS - 500);
    assert.equal(told.body.user, 'bob');
    assert.equal(told.body.reason, 'left');
  });

  test('a clean close is told at once', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const { code } = await bob.close(1000);
    assert.equal(code, 1000, 'the close is answered');
    const told = await ana.next('user_left', GRACE_MS - 500);
    assert.equal(told.body.user, 'bob');
    assert.equal(told.body.reason, 'closed');
  });

  test('a close without a code is answered, and waits for the grace', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const { code } = await bob.close(undefined);
    assert.ok(code === 1005 || code === 1000, `answered, not lost: ${code}`);
    await ana.say('still counted');
    const { members } = await ana.ask('members', { room });
    assert.ok(members.some((m) => m.user === 'bob'), 'bob is still shown within the grace');
    assert.equal((await ana.next(about('user_left', 'bob'), GRACE_MS * 4)).body.reason, 'dropped');
  });

  test('a dropped socket is told after the grace', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const since = Date.now();
    bob.terminate();
    const told = await ana.next('user_left', GRACE_MS * 4);
    assert.equal(told.body.user, 'bob');
    assert.equal(told.body.reason, 'dropped');
    assert.ok(Date.now() - since >= GRACE_MS - 50, 'not before the grace is over');
  });

  test('a return within the grace is silent', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    await ana.next('user_joined');
    bob.terminate();
    const back = await at.person('bob', room);
    const eva = await at.person('eva', room);
    // Eva drops when Bob is back: once she is told gone, his grace would have been over too.
    eva.terminate();
    await ana.next(about('user_left', 'eva'), GRACE_MS * 4);
    await allAlive(ana, back);
    assertUntold(ana, about('user_left', 'bob'));
    assert.equal(ana.all(about('user_joined', 'bob')).length, 1);
    const { members } = await ana.ask('members', { room });
    assert.equal(members.find((m) => m.user === 'bob').connections, 1);
  });
});

describe('devices', () => {
  test('a person is told once, however many devices come and go', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const [desk, phone] = [await at.person('bob', room), await at.person('bob', room)];
    assert.equal(phone.joined.count, 2, 'people, not connections');
    await allAlive(ana, desk, phone);
    assert.equal(ana.all(about('user_joined', 'bob')).length, 1);
    const { members } = await ana.ask('members', { room });
    assert.equal(members.find((m) => m.user === 'bob').connections, 2);
    await desk.close(1000);
    await allAlive(ana, phone);
    assertUntold(ana, 'user_left');
    await phone.close(1000);
    assert.equal((await ana.next('user_left')).body.user, 'bob');
    assert.equal(ana.all('user_left').length, 1);
  });

  test('the limit of connections a person may have is 4429, and no other person is touched', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const desks = [];
    for (let i = 0; i < 20; i += 1) desks.push(await at.person('bob', room));
    const { code, reason } = await (await at.socket('bob', { room })).ended();
    assert.equal(code, 4429);
    assert.match(reason, /^rate_limited: ./);
    await allAlive(ana, desks[0]);
    await desks[1].close(1000);
    await at.person('bob', room);
  });
});

describe('what is shown', () => {
  test('meta of a join is shown; joining again replaces it; without meta it stays and tells nobody', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const again = await bob.ask('join', { room, meta: { desk: 4 } });
    assert.equal(again.room, room);
    assert.equal(again.count, 2);
    assert.deepEqual((await ana.next(about('user_updated', 'bob'))).body.meta, { desk: 4 });
    await bob.ask('join', { room, meta: { desk: 5 } });
    assert.deepEqual((await ana.next(about('user_updated', 'bob'))).body.meta, { desk: 5 });
    await bob.ask('join', { room });
    await allAlive(ana, bob);
    assert.equal(ana.all('user_updated').length, 2);
    assert.equal(ana.all('user_joined').length, 1, 'joining again is no arrival');
    const { members } = await ana.ask('members', { room });
    assert.deepEqual(members.find((m) => m.user === 'bob').meta, { desk: 5 });
  });

  test('presence sets the status others see', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    await bob.ask('presence', { status: 'away', text: 'at lunch' });
    const { body } = await ana.next(about('user_updated', 'bob'));
    assert.equal(body.status, 'away');
    assert.equal(body.text, 'at lunch');
    await bob.ask('presence', { status: 'gardening' });
    assert.equal((await ana.next(about('user_updated', 'bob'))).body.status, 'gardening');
    const { members } = await ana.ask('members', { room });
    assert.equal(members.find((m) => m.user === 'bob').status, 'gardening');
    for (const bad of [{}, { status: '' }, { status: 'x'.repeat(33) }, { status: 'ok', text: 'x'.repeat(257) }, { status: 7 }]) {
      await bob.refused('presence', bad, 'invalid_payload', 'invalid_name');
    }
    await allAlive(ana, bob);
  });

  test('members come in pages, by user', T, async () => {
    const room = fresh();
    const users = ['ana', 'bob', 'eva', 'leo', 'zoe'];
    const [ana] = await Promise.all(users.map((user) => at.person(user, room)));
    const found = [];
    for (let after; after !== null;) {
      const page = await ana.ask('members', { room, limit: 2, ...(after ? { after } : {}) });
      assert.equal(page.count, 5);
      found.push(...page.members.map((m) => m.user));
      after = page.next;
    }
    assert.deepEqual(found, users);
    const count = await ana.ask('members', { room, limit: 0 });
    assert.deepEqual([count.count, count.members], [5, []]);
  });
});
