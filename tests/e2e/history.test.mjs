// What a room remembers: history both ways, coming back with `since`, gaps.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allAlive, fresh, withServer } from './support/fixture.mjs';

const at = withServer({ vars: { HISTORY_MAX: '50', RATE_MESSAGES_PER_S: '0' } });
const T = { timeout: 30_000 };

/** `n` messages of ana's in a new room; returns her and their seqs. */
async function talk(n, room = fresh('past')) {
  const ana = await at.person('ana', room);
  const seqs = [];
  for (let i = 0; i < n; i += 1) seqs.push((await ana.say(`m${i}`)).seq);
  return { ana, room, seqs };
}

const texts = (messages) => messages.map((e) => e.body?.text);

describe('history', () => {
  test('forward and backward, page by page, always in order of seq', T, async () => {
    const { ana, room, seqs } = await talk(8);
    const pages = async (direction, start) => {
      const found = [];
      for (let cursor = start; cursor !== null;) {
        const page = await ana.ask('history', { room, [direction]: cursor, limit: 3 });
        assert.equal(page.epoch, ana.joined.epoch);
        assert.ok(page.messages.length <= 3);
        found.push(page.messages.map((e) => e.seq));
        cursor = page.next;
        assert.ok(found.length < 10, 'pages end');
      }
      return found.filter((page) => page.length);
    };
    const forward = await pages('after', seqs[0] - 1);
    assert.deepEqual(forward.flat(), seqs);
    const backward = await pages('before', seqs.at(-1) + 1);
    for (const page of backward) assert.deepEqual(page, [...page].sort((a, b) => a - b));
    assert.deepEqual(backward.reverse().flat(), seqs);
  });

  test('after and before are exclusive; with neither it is the newest page', T, async () => {
    const { ana, room, seqs } = await talk(5);
    const after = await ana.ask('history', { room, after: seqs[2] });
    assert.deepEqual(texts(after.messages), ['m3', 'm4']);
    assert.equal(after.next, null);
    const before = await ana.ask('history', { room, before: seqs[2] });
    assert.deepEqual(texts(before.messages), ['m0', 'm1']);
    const newest = await ana.ask('history', { room, limit: 2 });
    assert.deepEqual(texts(newest.messages), ['m3', 'm4']);
  });

  test('both directions at once, a limit out of bounds, a seq that is none: invalid_payload', T, async () => {
    const { ana, room } = await talk(1);
    for (const bad of [{ after: 1, before: 2 }, { limit: 0 }, { limit: 501 }, { limit: 'x' }, { after: -1 }, { after: 1.5 }]) {
      await ana.refused('history', { room, ...bad }, 'invalid_payload');
    }
    await allAlive(ana);
  });

  test('it keeps at least HISTORY_MAX and at most a tenth more', T, async () => {
    const { ana, room, seqs } = await talk(120);
    const { messages } = await ana.ask('history', { room, limit: 500 });
    assert.ok(messages.length >= 50 && messages.length <= 55, `${messages.length} kept of 120`);
    assert.equal(messages.at(-1).seq, seqs.at(-1));
    assert.equal(messages[0].seq, seqs.at(-1) - messages.length + 1);
  });
});

describe('coming back', () => {
  test('with since, what was missed comes in order, and then the live ones without a gap', T, async () => {
    const { ana, room } = await talk(2);
    const bob = await at.person('bob', room);
    const { epoch, seq } = await ana.say('seen by bob');
    await bob.hear('seen by bob');
    bob.terminate();
    const missed = [];
    for (const text of ['a', 'b', 'c']) missed.push((await ana.say(text)).seq);
    const back = await at.person('bob', room, { query: { epoch: epoch ?? ana.joined.epoch, seq } });
    assert.equal(back.joined.recovered, true);
    assert.deepEqual(back.joined.missed.map((e) => e.seq), missed);
    assert.deepEqual(texts(back.joined.missed), ['a', 'b', 'c']);
    assert.equal(back.joined.seq, missed.at(-1));
    assert.equal((await ana.say('live')).seq, missed.at(-1) + 1);
    await back.hear('live');
  });

  test('the same by message', T, async () => {
    const { ana, room, seqs } = await talk(4);
    await ana.ask('leave', { room });
    const back = await ana.ask('join', { room, since: { epoch: ana.joined.epoch, seq: seqs[1] } });
    assert.equal(back.recovered, true);
    assert.deepEqual(texts(back.missed), ['m2', 'm3']);
  });

  test('nothing missed is recovered: true with nothing', T, async () => {
    const { ana, room, seqs } = await talk(2);
    const back = await at.person('bob', room, { query: { epoch: ana.joined.epoch, seq: seqs.at(-1) } });
    assert.equal(back.joined.recovered, true);
    assert.deepEqual(back.joined.missed, []);
  });

  test('the epoch of another log is a gap from null, and the room goes on', T, async () => {
    const { ana, room, seqs } = await talk(3);
    const back = await at.person('bob', room, { query: { epoch: 'abcdefabcdef', seq: 2 } });
    assert.equal(back.joined.recovered, false);
    const { body } = await back.next('gap');
    assert.equal(body.room, room);
    assert.equal(body.epoch, ana.joined.epoch);
    assert.equal(body.from, null);
    assert.equal(body.to, seqs.at(-1));
    await allAlive(ana, back);
  });

  test('a since above the head is a gap, and changes nothing', T, async () => {
    const { ana, room, seqs } = await talk(3);
    const back = await at.person('bob', room, { query: { epoch: ana.joined.epoch, seq: seqs.at(-1) + 1000 } });
    assert.equal(back.joined.recovered, false);
    assert.equal(back.joined.epoch, ana.joined.epoch);
    const { body } = await back.next('gap');
    assert.equal(body.epoch, ana.joined.epoch);
    assert.equal((await ana.say('goes on')).seq, seqs.at(-1) + 1);
    await back.hear('goes on');
  });

  test('what retention has taken is a gap that names what is gone', T, async () => {
    const { ana, room, seqs } = await talk(120);
    const back = await at.person('bob', room, { query: { epoch: ana.joined.epoch, seq: seqs[0] } });
    assert.equal(back.joined.recovered, false);
    const { body } = await back.next('gap');
    assert.equal(body.epoch, ana.joined.epoch);
    assert.ok(body.from === seqs[0] || body.from === seqs[0] + 1, JSON.stringify(body));
    assert.ok(body.to > body.from);
    await allAlive(ana, back);
  });

  test('last gives a newcomer the newest', T, async () => {
    const { room } = await talk(5);
    const bob = await at.person('bob', room, { query: { last: 2 } });
    assert.equal(bob.joined.recovered, null);
    assert.deepEqual(texts(bob.joined.missed), ['m3', 'm4']);
  });

  test('epoch and seq come together, both well formed, and last at most 100', T, async () => {
    const room = fresh();
    const wrong = [{ epoch: 'abcdefabcdef' }, { seq: 1 }, { epoch: 'xyz', seq: 1 }, { epoch: 'abcdefabcdef', seq: -1 },
      { epoch: 'abcdefabcdef', seq: 'x' }, { epoch: 'abcdefabcdef', seq: 2 ** 53 }, { last: 101 }, { last: 'x' }];
    for (const query of wrong) {
      const { code, reason } = await (await at.socket('ana', { room, query })).ended();
      assert.equal(code, 4400, JSON.stringify(query));
      assert.match(reason, /^invalid_payload: ./, JSON.stringify(query));
    }
  });
});
