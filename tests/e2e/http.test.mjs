// The service as a backend sees it: publish, history, members, and HTTP as HTTP is.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allAlive, assertLogged, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus, caller } from './support/http.mjs';
import { tokenFor } from './support/token.mjs';

const APP = 'https://app.example';
const at = withServer({ vars: { MAX_MESSAGE_BYTES: '65536', ALLOWED_ORIGINS: APP } });
const T = { timeout: 30_000 };

const messages = (room, query = '') => `/v1/rooms/${encodeURIComponent(room)}/messages${query}`;
const members = (room, query = '') => `/v1/rooms/${encodeURIComponent(room)}/members${query}`;

describe('public', () => {
  test('/ is JSON for programs and the page for browsers', T, async () => {
    const anyone = caller(at);
    const info = assertStatus(await anyone('GET', '/'), 200);
    assert.equal(info.name, 'tertulia');
    assert.match(info.version, /^\d+\.\d+\.\d+/);
    assert.ok(info.protocols.includes('tertulia.v1'));
    assert.ok(Number.isSafeInteger(info.ts));
    const page = await anyone('GET', '/', { headers: { accept: 'text/html,application/xhtml+xml' } });
    assertStatus(page, 200);
    assert.match(page.headers.get('content-type'), /^text\/html/);
    assert.match(page.text, /<!doctype html/i);
  });

  test('/health', T, async () => {
    const health = assertStatus(await caller(at)('GET', '/health'), 200);
    assert.equal(health.status, 'healthy');
    assert.equal(typeof health.checks, 'object');
  });
});

describe('publish', () => {
  test('answers 202 when it is in the log, and the room hears it from the sub of the token', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const body = { type: 'order.placed', body: { n: 1 }, meta: { via: 'shop' } };
    const told = assertStatus(await at.as('shop')('POST', messages(room), { body }), 202);
    const heard = await ana.next('order.placed');
    assertLogged(heard, room);
    assert.deepEqual({ user: heard.from.user, body: heard.body, meta: heard.meta }, { user: 'shop', body: { n: 1 }, meta: { via: 'shop' } });
    assert.deepEqual(told, { id: heard.id, room, seq: heard.seq, epoch: heard.epoch, ts: heard.ts });
  });

  test('into a room nobody has been in', T, async () => {
    const room = fresh();
    const told = assertStatus(await at.as('shop')('POST', messages(room), { body: { body: 'first' } }), 202);
    const page = assertStatus(await at.as('ana')('GET', messages(room)), 200);
    assert.equal(page.epoch, told.epoch);
    assert.deepEqual(page.messages.map((e) => [e.type, e.id, e.body]), [['message', told.id, 'first']]);
  });

  test('the same Idempotency-Key is one message and one answer; another body is a conflict', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const shop = at.as('shop');
    const send = (text, key = 'k-1') => shop('POST', messages(room), { body: { body: { text } }, headers: { 'idempotency-key': key } });
    const first = assertStatus(await send('once'), 202);
    assert.deepEqual(assertStatus(await send('once'), 202), first);
    const problem = assertProblem(await send('twice'), 409, 'conflict');
    assert.equal(problem.retryable, false);
    const other = await at.as('bank')('POST', messages(room), { body: { body: { text: 'once' } }, headers: { 'idempotency-key': 'k-1' } });
    assert.notEqual(assertStatus(other, 202).id, first.id, 'a key counts per sub');
    await allAlive(ana);
    assert.equal(ana.all((e) => e.body?.text === 'once').length, 2);
  });

  test('many at once under one key are one message', T, async () => {
    const room = fresh();
    const shop = at.as('shop');
    const headers = { 'idempotency-key': 'race' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => shop('POST', messages(room), { body: { body: 1 }, headers })));
    assert.equal(new Set(answers.map((a) => assertStatus(a, 202).id)).size, 1);
    const page = assertStatus(await shop('GET', messages(room), { token: tokenFor('ana') }), 200);
    assert.equal(page.messages.length, 1);
  });

  test('who is excluded gets a skip, live and in history; with types there is none', T, async () => {
    const room = fresh();
    const [ana, bob] = [await at.person('ana', room), await at.person('bob', room)];
    const body = { body: { text: 'not for bob' }, exclude: ['bob'] };
    const { seq, epoch } = assertStatus(await at.as('shop')('POST', messages(room), { body }), 202);
    await ana.hear('not for bob');
    const skip = await bob.next('skip');
    assert.deepEqual([skip.room, skip.seq, skip.epoch], [room, seq, epoch]);
    assert.ok(!('body' in skip) && Number.isSafeInteger(skip.ts));
    await allAlive(ana, bob);
    assertUntold(bob, (e) => e.body?.text === 'not for bob');
    const read = async (user, query) => assertStatus(await at.as(user)('GET', messages(room, query)), 200).messages;
    assert.equal((await read('ana', '')).find((e) => e.seq === seq).body.text, 'not for bob');
    assert.equal((await read('bob', '')).find((e) => e.seq === seq).type, 'skip');
    assert.ok((await read('bob', '?types=message')).every((e) => e.type === 'message' && e.seq !== seq));
    const back = await at.person('bob', room, { query: { epoch, seq: seq - 1 } });
    assert.equal(back.joined.missed.find((e) => e.seq === seq).type, 'skip');
    const everyone = Array.from({ length: 101 }, (_, i) => `u${i}`);
    assertProblem(await at.as('shop')('POST', messages(room), { body: { body: 1, exclude: everyone } }), 400, 'invalid_payload');
  });
});

describe('read', () => {
  test('a room that never was reads empty, its epoch null', T, async () => {
    const ana = at.as('ana');
    const room = fresh('never');
    assert.deepEqual(assertStatus(await ana('GET', messages(room)), 200), { epoch: null, messages: [], next: null });
    const people = assertStatus(await ana('GET', members(room)), 200);
    assert.deepEqual([people.count, people.members, people.next], [0, [], null]);
  });

  test('history pages both ways and by type', T, async () => {
    const room = fresh();
    const shop = at.as('shop');
    const seqs = [];
    for (let i = 0; i < 6; i += 1) {
      const body = { type: i % 2 ? 'odd' : 'even', body: i };
      seqs.push(assertStatus(await shop('POST', messages(room), { body }), 202).seq);
    }
    const ana = at.as('ana');
    const page = async (query) => assertStatus(await ana('GET', messages(room, query)), 200);
    const first = await page(`?after=${seqs[0] - 1}&limit=4`);
    assert.deepEqual(first.messages.map((e) => e.body), [0, 1, 2, 3]);
    const rest = await page(`?after=${first.next}&limit=4`);
    assert.deepEqual([rest.messages.map((e) => e.body), rest.next], [[4, 5], null]);
    assert.deepEqual((await page(`?before=${seqs[4]}&limit=2`)).messages.map((e) => e.body), [2, 3]);
    assert.deepEqual((await page('?types=odd')).messages.map((e) => e.body), [1, 3, 5]);
    assert.deepEqual((await page('?types=odd,even&limit=2')).messages.map((e) => e.body), [4, 5]);
    for (const bad of ['?after=1&before=2', '?limit=0', '?limit=501', '?after=x', '?after=-1']) {
      assertProblem(await ana('GET', messages(room, bad)), 400, 'invalid_payload');
    }
    assertProblem(await ana('GET', messages(room, '?types=a%20b')), 400, 'invalid_name', 'invalid_payload');
  });

  test('members, and with limit=0 their count', T, async () => {
    const room = fresh();
    await at.person('ana', room, { claims: { name: 'Ana', role: 'Advisor' } });
    await at.person('bob', room);
    const eva = at.as('eva');
    const all = assertStatus(await eva('GET', members(room)), 200);
    assert.equal(all.count, 2);
    assert.deepEqual(all.members.map((m) => m.user), ['ana', 'bob']);
    const [ana] = all.members;
    assert.equal(ana.name, 'Ana');
    assert.equal(ana.role.toLowerCase(), 'advisor');
    assert.deepEqual([ana.status, ana.connections], ['online', 1]);
    const page = assertStatus(await eva('GET', members(room, '?limit=1')), 200);
    assert.deepEqual([page.members.length, page.next], [1, 'ana']);
    const count = assertStatus(await eva('GET', members(room, '?limit=0')), 200);
    assert.deepEqual([count.count, count.members], [2, []]);
  });
});

describe('HTTP as it is', () => {
  test('unknown routes are 404', T, async () => {
    const ana = at.as('ana');
    for (const path of ['/v1/nothing', '/v1/rooms', '/v1/rooms/r/nothing', '/v1/rooms/r/messages/extra', '/v2/rooms/r/messages']) {
      assertProblem(await ana('GET', path), 404, 'not_found');
    }
  });

  test('another method is 405 with Allow', T, async () => {
    const ana = at.as('ana');
    const messagesDeleted = await ana('DELETE', messages('r'));
    assertProblem(messagesDeleted, 405, 'method_not_allowed');
    const allow = messagesDeleted.headers.get('allow').split(/,\s*/);
    assert.ok(allow.includes('GET') && allow.includes('POST'), allow.join());
    for (const [method, path] of [['PUT', members('r')], ['POST', '/health'], ['DELETE', '/']]) {
      const answer = await ana(method, path);
      assertProblem(answer, 405, 'method_not_allowed');
      assert.match(answer.headers.get('allow'), /GET/);
    }
  });

  test('/ws without an upgrade is a clear refusal', T, async () => {
    const answer = await at.as('ana')('GET', '/ws?room=r');
    assert.ok([400, 426].includes(answer.status), `${answer.status}`);
    assertProblem(answer, answer.status, 'unsupported', 'bad_message');
  });

  test('a body that is not JSON by its type is 415', T, async () => {
    const ana = at.as('ana');
    const headers = (type) => ({ headers: { 'content-type': type } });
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
      assertProblem(await ana('POST', messages('r'), { body: '{"body":1}', ...headers(type) }), 415, 'unsupported_media_type');
    }
    assertStatus(await ana('POST', messages('r'), { body: '{"body":1}', ...headers('application/json; charset=utf-8') }), 202);
  });

  test('a body beyond the limit is 413', T, async () => {
    const ana = at.as('ana');
    const body = { body: 'x'.repeat(90_000) };
    assertProblem(await ana('POST', messages(fresh()), { body }), 413, 'too_big');
    assertStatus(await ana('POST', messages(fresh()), { body: { body: 'x'.repeat(60_000) } }), 202);
  });

  test('bad JSON, bad UTF-8, and JSON that is no message', T, async () => {
    const ana = at.as('ana');
    const room = fresh();
    const post = (body, path = messages(room)) => ana('POST', path, { body });
    for (const text of ['', '{', 'hello', '{"body":1}}', "{'body':1}"]) {
      assertProblem(await post(text), 400, 'bad_message', 'invalid_payload');
    }
    assertProblem(await post(Buffer.from([0x7b, 0x22, 0x62, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])), 400, 'bad_message');
    for (const value of [[], 7, 'text', null, { type: 7, body: 1 }, { body: 1, ephemeral: 'yes' }, { body: 1, exclude: 'bob' }, { body: 1, meta: 'x'.repeat(3000) }]) {
      assertProblem(await post(JSON.stringify(value)), 400, 'invalid_payload', 'bad_message');
    }
    assertProblem(await post('{"body":' + '['.repeat(10_000) + ']'.repeat(10_000) + '}'), 400, 'invalid_payload', 'bad_message');
    assertProblem(await post({ type: 'a b', body: 1 }), 400, 'invalid_name');
    assertProblem(await post({ type: 'user_joined', body: 1 }), 400, 'invalid_name', 'invalid_payload');
    const page = assertStatus(await ana('GET', messages(room)), 200);
    assert.deepEqual(page.messages, [], 'nothing of it was said');
  });

  test('names out of bounds are invalid_name, in every path', T, async () => {
    const ana = at.as('ana');
    for (const name of ['a b', 'ñ', 'x'.repeat(129), '~lobby-0', 'a/b', 'a\u0000b', '"']) {
      assertProblem(await ana('GET', messages(name)), 400, 'invalid_name');
      assertProblem(await ana('GET', members(name)), 400, 'invalid_name');
    }
    assertProblem(await ana('GET', '/v1/rooms/%ff%fe/messages'), 400, 'invalid_name');
    assertStatus(await ana('GET', messages('x'.repeat(128))), 200);
  });

  test('without a token 401 and WWW-Authenticate; without the scope 403 that names it', T, async () => {
    const answer = await caller(at)('GET', messages('r'));
    assertProblem(answer, 401, 'token_missing');
    assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
    const expired = await caller(at, tokenFor('ana', { exp: 1 }))('GET', messages('r'));
    assertProblem(expired, 401, 'token_expired');
    assert.match(expired.headers.get('www-authenticate'), /^Bearer .*error="/);
    const needs = [['POST', messages('r'), 'rooms:publish', { body: 1 }], ['GET', messages('r'), 'rooms:history'], ['GET', members('r'), 'rooms:join']];
    for (const [method, path, scope, body] of needs) {
      const problem = assertProblem(await at.as('ana', { scope: 'metrics' })(method, path, { body }), 403, 'forbidden');
      assert.ok(problem.detail.includes(scope), problem.detail);
      const allowed = await at.as('ana', { scope })(method, path, { body });
      assert.ok(allowed.status < 300, `${scope}: ${allowed.status} ${allowed.text}`);
    }
  });
});

describe('CORS', () => {
  test('a preflight from an allowed origin names methods and headers', T, async () => {
    const headers = { origin: APP, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type,idempotency-key' };
    const answer = await caller(at)('OPTIONS', messages('r'), { headers });
    assert.ok([200, 204].includes(answer.status), `${answer.status}`);
    assert.equal(answer.headers.get('access-control-allow-origin'), APP);
    assert.match(answer.headers.get('access-control-allow-methods'), /POST/);
    for (const name of ['authorization', 'content-type', 'idempotency-key']) {
      assert.match(answer.headers.get('access-control-allow-headers').toLowerCase(), new RegExp(name));
    }
    assert.match(answer.headers.get('vary') ?? '', /origin/i);
  });

  test('answers and refusals may be read from there, and from nowhere else', T, async () => {
    const ana = at.as('ana');
    const ok = await ana('GET', messages('r'), { headers: { origin: APP } });
    assert.equal(ok.headers.get('access-control-allow-origin'), APP);
    const refused = await caller(at)('GET', messages('r'), { headers: { origin: APP } });
    assertProblem(refused, 401, 'token_missing');
    assert.equal(refused.headers.get('access-control-allow-origin'), APP);
    const other = await ana('GET', messages('r'), { headers: { origin: 'https://evil.example' } });
    assert.equal(other.headers.get('access-control-allow-origin'), null);
    const preflight = await caller(at)('OPTIONS', messages('r'), { headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } });
    assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  });
});
