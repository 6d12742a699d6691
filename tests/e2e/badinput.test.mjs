// Nonsense of every kind: a clear error each, and neither the connection nor its neighbours harmed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, refusal } from './support/client.mjs';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { assertProblem } from './support/http.mjs';
import { tokenFor } from './support/token.mjs';

const MAX_BYTES = 65_536;
const at = withServer({ vars: { MAX_MESSAGE_BYTES: String(MAX_BYTES) } });
const T = { timeout: 30_000 };

/** Ana, who does it, and Bob beside her. */
async function two() {
  const room = fresh();
  return { room, ana: await at.person('ana', room), bob: await at.person('bob', room) };
}

/** Sends it raw and expects one `error` of that word; then both are alive, and Bob was told nothing. */
async function errs(raw, ...codes) {
  const { ana, bob } = await two();
  ana.raw(raw);
  const { body } = await ana.next('error');
  assert.ok(codes.includes(body.code), `${String(raw).slice(0, 100)}: ${codes.join(' or ')}, got ${JSON.stringify(body)}`);
  assert.ok(body.message.length > 0);
  assert.equal(typeof body.retryable, 'boolean');
  await allAlive(ana, bob);
  assertUntold(bob, 'error');
  assertUntold(ana, 'echo');
}

describe('frames that are no message', () => {
  test('text that is not JSON is echoed, to its sender only', T, async () => {
    const { ana, bob } = await two();
    for (const text of ['not json', '{"type":', '{"type":"ping"} trailing', '\u0000']) {
      ana.raw(text);
      assert.equal((await ana.next('echo')).body, text);
    }
    await allAlive(ana, bob);
    assertUntold(bob, 'echo');
  });

  test('JSON that is no message: bad_message', T, async () => {
    for (const raw of ['7', '"text"', 'true', 'null', '{}', '{"payload":{}}', '{"type":7}', '{"type":null,"payload":{}}']) {
      await errs(raw, 'bad_message', 'invalid_payload');
    }
  });

  test('an id that is no string: bad_message', T, async () => {
    await errs('{"type":"ping","id":7}', 'bad_message');
    await errs('{"type":"ping","id":{}}', 'bad_message');
  });

  test('an unknown type: unknown_type, in the reply when there is an id', T, async () => {
    await errs('{"type":"levitate","payload":{}}', 'unknown_type');
    const { ana, bob } = await two();
    await ana.refused('levitate', {}, 'unknown_type');
    await ana.refused('reply', {}, 'unknown_type');
    assertUntold(ana, 'error', 'it is in the reply, and only there');
    await allAlive(ana, bob);
  });

  test('a batch with one bad message: the others are done', T, async () => {
    const { room, ana, bob } = await two();
    const good = (text) => ({ type: 'broadcast', payload: { room, body: { text } } });
    ana.raw(JSON.stringify([good('before'), { type: 'levitate', id: 'x' }, 7, good('after')]));
    await bob.hear('before');
    await bob.hear('after');
    assert.equal((await ana.next((e) => e.type === 'reply' && e.id === 'x')).error.code, 'unknown_type');
    assert.ok(['bad_message', 'invalid_payload'].includes((await ana.next('error')).body.code));
    ana.raw('[]');
    await allAlive(ana, bob);
  });

  test('a batch that is too long is refused whole, or done whole', T, async () => {
    const { ana, bob } = await two();
    ana.raw(JSON.stringify(Array.from({ length: 1000 }, () => ({ type: 'ping' }))));
    await ana.next((e) => e.type === 'error' || e.type === 'pong');
    await allAlive(bob);
  });
});

describe('payloads', () => {
  test('missing or mistyped: invalid_payload', T, async () => {
    const { room, ana, bob } = await two();
    const wrong = [
      ['broadcast', undefined], ['broadcast', null], ['broadcast', 7], ['broadcast', 'text'], ['broadcast', {}],
      ['broadcast', { body: 1 }], ['broadcast', { room: 7, body: 1 }], ['broadcast', { room, body: 1, ephemeral: 'yes' }],
      ['broadcast', { room, body: 1, key: 7 }], ['broadcast', { room, body: 1, meta: 'x'.repeat(3000) }],
      ['broadcast', { room, body: 1, key: 'x'.repeat(1000) }], ['broadcast', { room, body: 1, corr: 'x'.repeat(1000) }],
      ['join', {}], ['join', { room: {} }], ['join', { room, since: 5 }], ['join', { room, since: { epoch: 'abcdefabcdef' } }],
      ['join', { room, last: 101 }], ['join', { room, last: -1 }], ['join', { room, meta: { x: 'x'.repeat(3000) } }],
      ['history', {}], ['history', { room, limit: 'ten' }], ['members', {}], ['members', { room, limit: 501 }],
      ['leave', {}], ['ack', {}], ['ack', { room, seq: 'x' }], ['presence', {}], ['token', { token: 7 }],
      ['job', { room }], ['job', { room, kind: 7, input: {} }], ['cancel', { room }],
    ];
    for (const [type, payload] of wrong) await ana.refused(type, payload, 'invalid_payload');
    await allAlive(ana, bob);
  });

  test('names out of bounds: invalid_name', T, async () => {
    const { room, ana, bob } = await two();
    for (const name of ['', 'a b', 'ñ', 'x'.repeat(129), '~lobby-0', 'a/b', 'a\u0000']) {
      await ana.refused('broadcast', { room: name, body: 1 }, 'invalid_name');
      await ana.refused('join', { room: name }, 'invalid_name');
      await ana.refused('broadcast', { room, type: name, body: 1 }, 'invalid_name');
    }
    await allAlive(ana, bob);
  });

  test('names out of bounds in the URL: 400 and 4400', T, async () => {
    for (const room of ['a b', 'ñ', 'x'.repeat(129), '~lobby-0']) {
      const token = tokenFor('ana');
      assertProblem(await refusal({ url: at, room, token, protocols: [] }), 400, 'invalid_name');
      const { code, reason } = await (await connect({ url: at, room, token })).ended();
      assert.equal(code, 4400);
      assert.match(reason, /^invalid_name: /);
    }
  });

  test('a job of unknown kind: a clear refusal, and no job', T, async () => {
    const { room, ana, bob } = await two();
    const error = await ana.refused('job', { room, kind: 'make.coffee', input: {} }, 'invalid_payload', 'unsupported', 'not_found');
    assert.match(error.detail, /make\.coffee|kind/);
    await allAlive(ana, bob);
    assertUntold(bob, 'message_queued');
  });

  test('unknown fields are ignored', T, async () => {
    const { room, ana, bob } = await two();
    await ana.ask('broadcast', { room, body: { text: 'fine' }, colour: 'red' }, { colour: 'blue' });
    await bob.hear('fine');
  });
});

describe('sizes', () => {
  test('nesting of 10,000: invalid_payload, wherever it stands', T, async () => {
    const deep = '['.repeat(10_000) + ']'.repeat(10_000);
    const { room, ana, bob } = await two();
    ana.raw(`{"type":"broadcast","id":"d1","payload":{"room":"${room}","body":${deep}}}`);
    const answer = await ana.next((e) => (e.type === 'reply' && e.id === 'd1') || e.type === 'error');
    assert.equal((answer.error ?? answer.body).code, 'invalid_payload', JSON.stringify(answer));
    await allAlive(ana, bob);
    await errs(deep, 'invalid_payload', 'bad_message');
    await errs(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 'invalid_payload', 'bad_message');
    await errs(`{"type":"ping","other":${deep}}`, 'invalid_payload', 'bad_message');
  });

  test('nesting of 50 is fine', T, async () => {
    const { room, ana, bob } = await two();
    const deep = JSON.parse('['.repeat(50) + ']'.repeat(50));
    await ana.ask('broadcast', { room, body: deep });
    assert.deepEqual((await bob.next('message')).body, deep);
  });

  test('a frame at the limit arrives; one over it closes with 1009', T, async () => {
    const { room, ana, bob } = await two();
    const frame = (n) => {
      const empty = JSON.stringify({ type: 'broadcast', payload: { room, body: { text: '' } } });
      return empty.replace('"text":""', `"text":"${'x'.repeat(n - empty.length)}"`);
    };
    ana.raw(frame(MAX_BYTES));
    assert.ok((await bob.next('message')).body.text.length > MAX_BYTES - 200);
    ana.raw(frame(MAX_BYTES + 1));
    const { code, reason } = await ana.ended();
    assert.equal(code, 1009);
    assert.match(reason, /^too_big: /);
    await allAlive(bob);
    assert.equal(bob.all('message').filter((e) => e.body.text.length > 1000).length, 1);
  });

  test('bytes count, not characters', T, async () => {
    const { room, ana, bob } = await two();
    ana.raw(JSON.stringify({ type: 'broadcast', payload: { room, body: { text: '€'.repeat(MAX_BYTES / 3) } } }));
    assert.equal((await ana.ended()).code, 1009);
    await allAlive(bob);
  });

  test('a token beyond its bound is malformed, not a crash', T, async () => {
    const token = tokenFor('ana', { padding: 'x'.repeat(7_000) });
    const refused = await refusal({ url: at, room: 'r', token, protocols: [] });
    assertProblem(refused, 401, 'token_malformed');
  });
});

describe('bytes', () => {
  test('a binary frame: unsupported, and the socket stays', T, async () => {
    const { ana, bob } = await two();
    for (const bytes of [Buffer.from([0, 1, 255]), Buffer.alloc(0), Buffer.from('{"type":"ping"}')]) {
      ana.raw(bytes);
      assert.equal((await ana.next('error')).body.code, 'unsupported');
    }
    await allAlive(ana, bob);
  });

  test('bad UTF-8 in a text frame harms nobody else', T, async () => {
    const { ana, bob } = await two();
    ana.raw(Buffer.from([0x22, 0xff, 0xfe, 0xc3, 0x28, 0x22]), { binary: false });
    // Whatever the runtime does (decisions.md): closed as 1007, or read with replacement characters.
    const outcome = await Promise.race([ana.closed, ana.next((e) => e.type === 'error' || e.type === 'echo').catch(() => ana.closed)]);
    assert.ok(outcome.type || [1002, 1006, 1007].includes(outcome.code), JSON.stringify(outcome));
    await allAlive(bob);
  });
});

describe('floods', () => {
  test('beyond the rate each message is refused with rate_limited, one reply each, in order', T, async () => {
    const { room, ana, bob } = await two();
    const asked = Array.from({ length: 400 }, (_, i) => ana.ask('broadcast', { room, body: { text: `f${i}` } }).then(() => null, (e) => e));
    const outcomes = await Promise.all(asked);
    const refused = outcomes.filter(Boolean);
    assert.ok(refused.length > 100 && refused.length < 350, `${refused.length} of 400 refused`);
    for (const error of refused) {
      assert.equal(error.code, 'rate_limited');
      assert.equal(error.retryable, true);
    }
    assert.equal(outcomes.findIndex(Boolean) >= 90, true, 'the burst is let through');
    assert.deepEqual(ana.all('reply').map((e) => e.id), outcomes.map((_, i) => `r${i + 1}`));
    await allAlive(bob);
    assert.equal(bob.all((e) => /^f\d/.test(e.body?.text)).length, 400 - refused.length);
    assert.ok(ana.isOpen);
  });

  test('it is over as soon as the rate is', T, async () => {
    const { room, ana, bob } = await two();
    const attempt = () => ana.ask('broadcast', { room, body: { text: 'again' } }).then(() => true, () => false);
    for (let i = 0; i < 3; i += 1) await Promise.all(Array.from({ length: 100 }, attempt));
    for (let i = 0; !(await attempt()); i += 1) assert.ok(i < 500, 'a slow speaker is heard again');
    await bob.hear('again');
  });
});
