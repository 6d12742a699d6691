// Visitors without a token, and what holds for a server that lacks its key or has a wrong variable.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { describe, test } from 'node:test';
import { connect, enter, refusal } from './support/client.mjs';
import { allAlive, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus, caller } from './support/http.mjs';
import { tokenFor } from './support/token.mjs';
import { until } from './support/wait.mjs';

const T = { timeout: 30_000 };

describe('guests', () => {
  const at = withServer({ vars: { ALLOW_GUESTS: 'true' } });
  const guest = (room, query = {}) => enter({ url: at, query: { conversationId: room, ...query } });
  const idOf = (room, key) => `guest:${crypto.createHash('sha256').update(`${room}\n${key}`).digest('hex').slice(0, 16)}`;

  test('the same guest is the same person in a room at every return, and another in another', T, async () => {
    const [room, other, key] = [fresh(), fresh(), 'k'.repeat(16)];
    const first = await guest(room, { guest: key, name: 'Vera' });
    assert.equal(first.user, idOf(room, key));
    await first.close();
    const again = await guest(room, { guest: key, name: 'Vera' });
    assert.equal(again.user, first.user);
    assert.equal((await guest(other, { guest: key })).user, idOf(other, key));
  });

  test('without guest it is a random one', T, async () => {
    const room = fresh();
    const [one, two] = [await guest(room), await guest(room)];
    for (const { user } of [one, two]) assert.match(user, /^guest:[0-9a-f]{16}$/);
    assert.notEqual(one.user, two.user);
  });

  test('a guest talks, reads, is shown by name and marked as guest', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room);
    const vera = await guest(room, { guest: 'v'.repeat(64), name: 'Vera ñ' });
    assert.equal((await ana.next('user_joined')).body.name, 'Vera ñ');
    await vera.say('hola');
    const heard = await ana.hear('hola');
    assert.deepEqual(heard.from, { user: vera.user, name: 'Vera ñ', conn: vera.conn, guest: true });
    assert.equal((await vera.ask('history', { room })).messages.length, 1);
    assert.equal((await vera.ask('members', { room })).count, 2);
    await allAlive(ana, vera);
  });

  test('a guest key or a name out of bounds is invalid_payload', T, async () => {
    const wrong = [{ guest: 'short' }, { guest: 'x'.repeat(65) }, { guest: 'k'.repeat(16), name: 'x'.repeat(65) }];
    for (const query of wrong) {
      const refused = await refusal({ url: at, query: { conversationId: 'r', ...query }, protocols: [] });
      assertProblem(refused, 400, 'invalid_payload');
      const { code, reason } = await (await connect({ url: at, query: { conversationId: 'r', ...query } })).ended();
      assert.equal(code, 4400);
      assert.match(reason, /^invalid_payload: /);
    }
  });

  test('no other room, no reserved one, no HTTP', T, async () => {
    const room = fresh();
    const vera = await guest(room);
    await vera.refused('join', { room: fresh() }, 'forbidden', 'not_here');
    await vera.refused('history', { room: 'somewhere-else' }, 'forbidden', 'not_here', 'not_joined');
    await vera.refused('broadcast', { room: 'somewhere-else', body: 1 }, 'forbidden', 'not_here', 'not_joined');
    await allAlive(vera);
    for (const reserved of ['user_bob', 'admin']) {
      const refused = await refusal({ url: at, query: { conversationId: reserved }, protocols: [] });
      assertProblem(refused, 403, 'forbidden');
    }
    assertProblem(await caller(at)('GET', `/v1/rooms/${room}/messages?conversationId=${room}`), 401, 'token_missing');
  });

  test('/ws?room= without a token is no guest', T, async () => {
    assertProblem(await refusal({ url: at, room: 'r', protocols: [] }), 401, 'token_missing');
  });

  test('a token wins over guest parameters, a bad one too', T, async () => {
    const query = { conversationId: fresh(), guest: 'k'.repeat(16), name: 'Vera' };
    assert.equal((await enter({ url: at, token: tokenFor('ana'), query })).user, 'ana');
    assertProblem(await refusal({ url: at, token: 'gibberish', query, protocols: [] }), 401, 'token_malformed');
  });
});

describe('guests not allowed', () => {
  const at = withServer({ vars: { ALLOW_GUESTS: 'false' } });

  test('conversationId without a token is token_missing', T, async () => {
    const query = { conversationId: 'r', guest: 'k'.repeat(16) };
    assertProblem(await refusal({ url: at, query, protocols: [] }), 401, 'token_missing');
    const { code, reason } = await (await connect({ url: at, query })).ended();
    assert.equal(code, 4401);
    assert.match(reason, /^token_missing: /);
  });
});

describe('no key configured', () => {
  const at = withServer({ vars: { JWT_SECRET: null, ALLOW_GUESTS: 'true' } });

  test('whoever has a token hears key_missing; the public paths answer', T, async () => {
    const token = tokenFor('ana');
    assertProblem(await caller(at, token)('GET', '/v1/rooms/r/messages'), 503, 'key_missing');
    assertProblem(await refusal({ url: at, room: 'r', token, protocols: [] }), 503, 'key_missing');
    const { code, reason } = await (await connect({ url: at, room: 'r', token })).ended();
    assert.equal(code, 4503);
    assert.match(reason, /^key_missing: /);
    assertStatus(await caller(at)('GET', '/'), 200);
    assert.ok([200, 503].includes((await caller(at)('GET', '/health')).status));
  });

  test('guests need no key', T, async () => {
    const vera = await enter({ url: at, query: { conversationId: fresh() } });
    await allAlive(vera);
  });
});

describe('a wrong variable', () => {
  const at = withServer({ vars: { PRESENCE_TTL_MS: 'a while' } });

  test('every route but / answers unavailable and names it', T, async () => {
    assertStatus(await caller(at)('GET', '/'), 200);
    const ana = at.as('ana');
    for (const path of ['/health', '/v1/rooms/r/messages', '/v1/rooms/r/members']) {
      const problem = assertProblem(await ana('GET', path), 503, 'unavailable');
      assert.match(problem.detail, /PRESENCE_TTL_MS/);
    }
    const refused = await refusal({ url: at, room: 'r', token: tokenFor('ana'), protocols: [] });
    assert.match(assertProblem(refused, 503, 'unavailable').detail, /PRESENCE_TTL_MS/);
    const { code, reason } = await (await connect({ url: at, room: 'r', token: tokenFor('ana') })).ended();
    assert.equal(code, 4503);
    assert.match(reason, /^unavailable: .*PRESENCE_TTL_MS/);
  });

  test('it is logged, once', T, async () => {
    // The console of the runtime comes by way of the inspector, a little later than the answers.
    const lines = () => at.server.logs.filter((line) => line.includes('wrong_variable'));
    await until(() => lines().length > 0, { label: 'the line in the log' });
    assert.equal(lines().filter((line) => line.includes('PRESENCE_TTL_MS')).length, 1, at.server.tail());
  });
});
