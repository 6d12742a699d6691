// A room over real sockets: entering, talking, order, history, coming back.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { enter } from './support/client.mjs';
import { allAlive, assertLogged, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { tokenFor } from './support/token.mjs';

const at = withServer();
const T = { timeout: 30_000 };

describe('entering', () => {
  test('connected comes first and says who one is, what holds, and who is there', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room, { claims: { name: 'Ana', role: 'advisor' } });
    assert.equal(ana.seen[0].type, 'connected');
    assert.equal(ana.protocol, 'tertulia.v1');
    const { hello, joined } = ana;
    assert.equal(hello.user, 'ana');
    assert.ok(hello.conn.length > 0);
    assert.equal(hello.protocol, 'tertulia.v1');
    assert.equal(hello.heartbeat_ms, 4000);
    assert.equal(typeof hello.limits, 'object');
    assert.ok(Array.isArray(hello.rooms));
    assert.equal(joined.room, room);
    assert.match(joined.epoch, /^[0-9a-f]{12}$/);
    assert.ok(Number.isSafeInteger(joined.seq));
    assert.equal(joined.count, 1);
    assert.equal(joined.recovered, null);
    assert.deepEqual(joined.missed, []);
    assert.deepEqual(joined.answers, []);
    assert.equal(joined.presence, 'each');
    const [member] = joined.members;
    assert.equal(member.user, 'ana');
    assert.equal(member.name, 'Ana');
    assert.equal(member.status, 'online');
    assert.equal(member.connections, 1);
    assert.ok(Number.isSafeInteger(member.joined_at));
  });

  test('every form of the URL leads to the room', T, async () => {
    const room = fresh();
    const paths = [
      { path: '/ws', query: { room } },
      { path: `/rooms/${room}/ws` },
      { path: '/ws', query: { conversationId: room } },
    ];
    for (const [i, where] of paths.entries()) {
      const client = await enter({ url: at, token: tokenFor(`u${i}`), ...where });
      assert.equal(client.joined.room, room, where.path);
    }
  });

  test('a name with every allowed character is a room, percent-encoded or not', T, async () => {
    const room = `A-z_0.9:x@y|z+w=${fresh()}`;
    const ana = await at.person('ana', room);
    const bob = await enter({ url: at, path: `/rooms/${encodeURIComponent(room)}/ws`, token: tokenFor('bob') });
    assert.equal(ana.joined.room, room);
    assert.equal(bob.joined.room, room);
    await allAlive(ana, bob);
  });

  test('another room than that of the socket, or none at all, is not_here, with what to do', T, async () => {
    const ana = await at.person('ana', fresh());
    const error = await ana.refused('join', { room: fresh('other') }, 'not_here');
    assert.ok(error.detail.length > 20, error.detail);
    const lost = await at.socket('ana');
    const { code, reason } = await lost.ended();
    assert.equal(code, 4400);
    assert.match(reason, /^not_here: ./);
    await allAlive(ana);
  });
});

describe('talking', () => {
  test('everybody hears a broadcast, the sender too, all the same envelope', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room, { claims: { name: 'Ana' } });
    const bob = await at.person('bob', room);
    const told = await ana.ask('broadcast', { room, body: { text: 'hola' }, meta: { lang: 'es' }, corr: 'c-1' });
    const [own, his] = await Promise.all([ana.hear('hola'), bob.hear('hola')]);
    assert.deepEqual(own, his);
    assertLogged(his, room);
    assert.deepEqual(his.from, { user: 'ana', name: 'Ana', conn: ana.conn });
    assert.deepEqual(his.meta, { lang: 'es' });
    assert.equal(his.corr, 'c-1');
    assert.deepEqual([told.id, told.seq, told.ts], [his.id, his.seq, his.ts]);
  });

  test('bodies of every JSON type arrive as they were', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const bodies = [null, true, 0, -1.5e-7, 9007199254740991, '', 'ñ € 😀 \u0000 \u2028 "', [], [[1]], {}, { a: { b: [null] } }];
    for (const [i, body] of bodies.entries()) {
      await ana.ask('broadcast', { room, body, meta: { i } });
      const heard = await bob.next((e) => e.type === 'message' && e.meta?.i === i);
      assert.deepEqual(heard.body ?? null, body);
    }
  });

  test('the reply comes before the own copy, replies in the order of the requests', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const texts = Array.from({ length: 20 }, (_, i) => `n${i}`);
    const replies = await Promise.all(texts.map((text) => ana.say(text)));
    for (const text of texts) await ana.hear(text);
    assert.deepEqual(ana.all('reply').map((e) => e.id), texts.map((_, i) => `r${i + 1}`));
    for (const { seq } of replies) {
      const reply = ana.seen.findIndex((e) => e.type === 'reply' && e.body.seq === seq);
      const copy = ana.seen.findIndex((e) => e.type === 'message' && e.seq === seq);
      assert.ok(reply < copy, `reply ${reply}, copy ${copy}`);
    }
  });

  test('seq rises by one, the same for all, whoever speaks', T, async () => {
    const room = fresh();
    const people = await Promise.all(['ana', 'bob', 'eva'].map((user) => at.person(user, room)));
    await Promise.all(people.flatMap((p) => Array.from({ length: 10 }, (_, i) => p.say(`${p.user} ${i}`))));
    await people[0].say('end');
    const logs = await Promise.all(people.map(async (p) => {
      await p.hear('end');
      return p.all('message').map((e) => [e.seq, e.body.text]);
    }));
    assert.deepEqual(logs[1], logs[0]);
    assert.deepEqual(logs[2], logs[0]);
    const first = logs[0][0][0];
    assert.deepEqual(logs[0].map(([seq]) => seq), logs[0].map((_, i) => first + i));
    for (const p of people) {
      const own = logs[0].map(([, text]) => text).filter((text) => text.startsWith(p.user));
      assert.deepEqual(own, Array.from({ length: 10 }, (_, i) => `${p.user} ${i}`));
    }
  });

  test('an array in one frame is a batch, handled in its order', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const batch = ['one', 'two', 'three'].map((text, i) => ({ type: 'broadcast', id: `b${i}`, payload: { room, body: { text } } }));
    ana.raw(JSON.stringify(batch));
    const seqs = [];
    for (const { payload, id } of batch) {
      seqs.push((await bob.hear(payload.body.text)).seq);
      assert.equal((await ana.next((e) => e.id === id)).body.seq, seqs.at(-1));
    }
    assert.deepEqual(seqs, [seqs[0], seqs[0] + 1, seqs[0] + 2]);
  });

  test('echo: false: the sending connection gets a skip, the own second device the message', T, async () => {
    const room = fresh();
    const [ana, phone, bob] = [await at.person('ana', room), await at.person('ana', room), await at.person('bob', room)];
    const { seq, epoch } = await ana.ask('broadcast', { room, body: { text: 'quiet' }, echo: false });
    await Promise.all([phone.hear('quiet'), bob.hear('quiet')]);
    const skip = await ana.next('skip');
    assert.equal(skip.seq, seq);
    assert.equal(skip.room, room);
    if (epoch) assert.equal(skip.epoch, epoch);
    assert.ok(!('body' in skip));
    await allAlive(ana, bob);
    assertUntold(ana, (e) => e.body?.text === 'quiet');
    const { messages } = await ana.ask('history', { room });
    assert.ok(messages.some((e) => e.body?.text === 'quiet'), 'history hides it from nobody');
  });

  test('ephemeral: heard by all, without seq, and not in the log', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const told = await ana.ask('broadcast', { room, body: { text: 'gone' }, ephemeral: true });
    const heard = await bob.hear('gone');
    assert.match(heard.id, /^e-/);
    assert.equal(told.id, heard.id);
    for (const one of [told, heard]) assert.ok(!('seq' in one) && !('epoch' in one), JSON.stringify(one));
    await allAlive(ana, bob);
    const { messages } = await bob.ask('history', { room });
    assert.deepEqual(messages.filter((e) => e.body.text === 'gone'), []);
  });

  test("a publisher's own type is the type of the envelope; the service's own are refused", T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    await ana.ask('broadcast', { room, type: 'order.placed', body: { n: 7 } });
    const heard = await bob.next('order.placed');
    assertLogged(heard, room);
    assert.deepEqual(heard.body, { n: 7 });
    for (const type of ['reply', 'user_joined', 'answer_delta', 'connected', 'skip', 'echo', 'disconnecting']) {
      await ana.refused('broadcast', { room, type, body: {} }, 'invalid_name', 'invalid_payload');
    }
    await allAlive(ana, bob);
  });

  test('the same key is one message; with another body it is a conflict', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const first = await ana.say('once', {});
    const keyed = { room, body: { text: 'keyed' }, key: 'k-1' };
    const one = await ana.ask('broadcast', keyed);
    const two = await ana.ask('broadcast', keyed);
    assert.deepEqual(two, one);
    assert.equal(one.seq, first.seq + 1);
    await ana.refused('broadcast', { ...keyed, body: { text: 'other' } }, 'conflict');
    const his = await bob.ask('broadcast', keyed);
    assert.notEqual(his.id, one.id, 'a key counts per person');
    await allAlive(ana, bob);
    assert.equal(bob.all((e) => e.body?.text === 'keyed').length, 2);
  });

  test('who has left may not speak there any more, and stays connected', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    await bob.ask('leave', { room });
    await bob.refused('broadcast', { room, body: {} }, 'not_joined');
    await ana.say('without bob');
    const back = await bob.ask('join', { room, last: 1 });
    assert.equal(back.missed.at(-1).body.text, 'without bob');
    await allAlive(ana, bob);
    assertUntold(bob, (e) => e.type === 'message' && e.body?.text === 'without bob');
  });
});

describe('small things', () => {
  test('ping: the bare frame and the message', T, async () => {
    const ana = await at.person('ana', fresh());
    ana.raw('ping');
    await ana.next((e) => e.type === 'pong' && e.bare);
    for (const payload of [{ t: 1 }, 'x', 7, null]) {
      ana.send('ping', payload);
      const pong = await ana.next((e) => e.type === 'pong' && !e.bare);
      assert.deepEqual(pong.payload ?? pong.body ?? null, payload);
    }
  });

  test('text that is not JSON comes back as echo', T, async () => {
    const ana = await at.person('ana', fresh());
    for (const text of ['hello there', '{not json', 'PING', '😀']) {
      ana.raw(text);
      assert.equal((await ana.next('echo')).body, text);
    }
  });

  test('a message with an id gets exactly one reply, one without gets none', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    ana.send('broadcast', { room, body: { text: 'no id' } });
    await ana.hear('no id');
    assertUntold(ana, 'reply');
    await ana.say('with id');
    await allAlive(ana);
    assert.equal(ana.all((e) => e.type === 'reply' && e.id === 'r1').length, 1);
  });

  test('ack and heartbeat are answered', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const { id, seq } = await ana.say('read me');
    await ana.ask('ack', { room, seq });
    await ana.ask('ack', { message_id: id });
    await ana.ask('heartbeat', { every_ms: 60_000 });
    await ana.refused('heartbeat', { every_ms: 90_001 }, 'invalid_payload');
    await ana.refused('heartbeat', {}, 'invalid_payload');
    await allAlive(ana);
  });

  test('a client without sub-protocol, as wscat, is served the same', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const cat = await enter({ url: at, room, token: null, query: { access_token: tokenFor('cat') }, protocols: [] });
    assert.equal(cat.protocol, '');
    await allAlive(ana, cat);
  });
});
