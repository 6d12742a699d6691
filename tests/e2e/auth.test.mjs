// Who may come in: every place of a token, every refusal with its word, scopes, patterns, expiry.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, enter, refusal } from './support/client.mjs';
import { allAlive, assertUntold, fresh, withServer } from './support/fixture.mjs';
import { assertProblem, assertStatus, caller } from './support/http.mjs';
import { brokenTokens, keyPair, mint, nowS, SECRET, tokenFor } from './support/token.mjs';
import { SOON } from './support/wait.mjs';

const OLD_SECRET = 'yesterdays-secret-0123456789abcdef0123456';
const at = withServer({ vars: { JWT_SECRET: `${SECRET}\n${OLD_SECRET}`, JWT_LEEWAY_S: '0' } });
const T = { timeout: 30_000 };

const HISTORY = '/v1/rooms/r/messages';

/** How a connection that offers the sub-protocol is refused: accepted, then closed. */
async function closing(options) {
  const client = await connect({ url: at, room: 'r', ...options });
  const { code, reason } = await client.ended();
  assertUntold(client, 'connected', 'who is refused is not greeted');
  return { code, reason };
}

describe('places of a token', () => {
  test('each of them lets in, on a socket', T, async () => {
    const token = tokenFor('ana');
    const places = {
      header: { token },
      'lower case scheme': { headers: { authorization: `bearer ${token}` } },
      access_token: { query: { access_token: token } },
      token: { query: { token } },
      'sub-protocol': { protocols: ['tertulia.v1', `bearer.${token}`] },
      'sub-protocol, the other way round': { protocols: [`bearer.${token}`, 'tertulia.v1'] },
    };
    for (const [place, options] of Object.entries(places)) {
      const client = await enter({ url: at, room: fresh(), ...options });
      assert.equal(client.user, 'ana', place);
      assert.equal(client.protocol, 'tertulia.v1', `${place}: the 101 names tertulia.v1 and nothing else`);
      await client.close();
    }
  });

  test('each of them lets in over HTTP', T, async () => {
    const token = tokenFor('ana');
    const anyone = caller(at);
    for (const query of [`?access_token=${token}`, `?token=${token}`]) assertStatus(await anyone('GET', HISTORY + query), 200);
    assertStatus(await at.as('ana')('GET', HISTORY), 200);
  });

  test('bearer. without tertulia.v1 is 400 unsupported', T, async () => {
    const refused = await refusal({ url: at, room: 'r', protocols: [`bearer.${tokenFor('ana')}`] });
    assertProblem(refused, 400, 'unsupported');
  });
});

describe('a token that is not good', () => {
  for (const [what, code, token] of brokenTokens()) {
    test(`${what}: ${code}`, T, async () => {
      assertProblem(await caller(at, token)('GET', HISTORY), 401, code);
      const refused = await refusal({ url: at, room: 'r', token, protocols: [] });
      assertProblem(refused, 401, code);
      const closed = await closing({ token });
      assert.equal(closed.code, 4401);
      assert.ok(closed.reason.startsWith(`${code}: `), closed.reason);
    });
  }

  test('none at all: token_missing', T, async () => {
    assertProblem(await caller(at)('GET', HISTORY), 401, 'token_missing');
    assertProblem(await refusal({ url: at, room: 'r', protocols: [] }), 401, 'token_missing');
    const closed = await closing({});
    assert.equal(closed.code, 4401);
    assert.match(closed.reason, /^token_missing: /);
  });

  test('a second secret is as good as the first', T, async () => {
    const client = await enter({ url: at, room: fresh(), token: tokenFor('ana', {}, { key: OLD_SECRET }) });
    assert.equal(client.user, 'ana');
  });
});

describe('rights', () => {
  /** Refused both ways with 403 and 4403; returns the detail. */
  async function forbidden(token, room) {
    const problem = assertProblem(await refusal({ url: at, room, token, protocols: [] }), 403, 'forbidden');
    const closed = await closing({ token, room });
    assert.equal(closed.code, 4403);
    assert.match(closed.reason, /^forbidden: /);
    return problem.detail;
  }

  test('without rooms:join nobody comes in', T, async () => {
    const detail = await forbidden(tokenFor('ana', { scope: 'rooms:publish' }), 'r');
    assert.match(detail, /rooms:join/);
  });

  test('each operation asks for its scope and names it', T, async () => {
    const room = fresh();
    const only = (scope) => at.person('ana', room, { claims: { scope } });
    const joiner = await only('rooms:join');
    const needs = [
      ['broadcast', { room, body: 1 }, 'rooms:publish'],
      ['history', { room }, 'rooms:history'],
    ];
    for (const [type, payload, scope] of needs) {
      const error = await joiner.refused(type, payload, 'forbidden');
      assert.ok(error.detail.includes(scope), error.detail);
      const allowed = await only(`rooms:join ${scope}`);
      await allowed.ask(type, payload);
    }
    assert.equal((await joiner.ask('members', { room })).count, 1);
    await (await only('admin')).ask('broadcast', { room, body: 'admin may all' });
  });

  test('rooms: only those that a pattern matches', T, async () => {
    const token = tokenFor('ana', { rooms: ['orders:*', '*-hall', 'exact'] });
    for (const room of ['orders:7', 'orders:', 'town-hall', 'exact']) {
      const client = await enter({ url: at, room, token });
      assert.equal(client.joined.room, room);
    }
    for (const room of ['order:7', 'xorders:7', 'town-halls', 'exactly']) await forbidden(token, room);
    assertProblem(await caller(at, token)('GET', HISTORY), 403, 'forbidden');
    assertStatus(await caller(at, token)('GET', '/v1/rooms/exact/messages'), 200);
  });

  test('reserved rooms are closed to those whose they are not', T, async () => {
    for (const room of ['user_bob', 'user_', 'admin', 'advisor', 'client']) {
      await forbidden(tokenFor('ana'), room);
      assertProblem(await at.as('ana')('POST', `/v1/rooms/${room}/messages`, { body: { body: 1 } }), 403, 'forbidden');
    }
  });
});

describe('origin', () => {
  const token = tokenFor('ana');

  test('no Origin and the own one pass', T, async () => {
    await enter({ url: at, room: fresh(), token });
    await enter({ url: at, room: fresh(), token, headers: { origin: at.url } });
  });

  test('another one is forbidden, before anything is woken', T, async () => {
    const headers = { origin: 'https://evil.example' };
    const problem = assertProblem(await refusal({ url: at, room: 'r', token, headers, protocols: [] }), 403, 'forbidden');
    assert.match(problem.detail, /origin/i);
    const closed = await closing({ token, headers });
    assert.equal(closed.code, 4403);
    assert.match(closed.reason, /^forbidden: .*origin/i);
  });
});

describe('expiry', () => {
  test('expiring, then 4401; the others are told; a renewed one stays', { timeout: 60_000 }, async () => {
    const room = fresh();
    const eva = await at.person('eva', room);
    const exp = nowS() + 4;
    const [ana, bob] = [await at.person('ana', room, { claims: { exp } }), await at.person('bob', room, { claims: { exp } })];
    const { body } = await ana.next('expiring');
    assert.ok(body.in_ms > 0 && body.in_ms <= 4_500, JSON.stringify(body));
    const until = nowS() + 600;
    assert.equal((await bob.ask('token', { token: tokenFor('bob', { exp: until }) })).expires_at, until * 1000);
    const left = await eva.next((e) => e.type === 'user_left' && e.body.user === 'ana', 15_000);
    assert.equal(left.body.reason, 'expired');
    const { code, reason } = await ana.ended();
    assert.equal(code, 4401);
    assert.match(reason, /^token_expired: /);
    assert.ok(Date.now() >= exp * 1000, 'not before it ends');
    await allAlive(bob, eva);
    assert.ok(bob.isOpen, 'renewed in time');
  });

  test('a renewal by another person, or by a bad token, is refused and changes nothing', T, async () => {
    const ana = await at.person('ana', fresh());
    await ana.refused('token', { token: tokenFor('bob') }, 'forbidden');
    await ana.refused('token', { token: 'gibberish' }, 'token_malformed');
    await ana.refused('token', { token: tokenFor('ana', { exp: 1 }) }, 'token_expired');
    await ana.refused('token', {}, 'invalid_payload');
    assert.equal((await ana.say('still me')).id.length > 0, true);
  });

  test('a renewed token brings its own scopes', T, async () => {
    const room = fresh();
    const ana = await at.person('ana', room, { claims: { scope: 'rooms:join' } });
    await ana.refused('broadcast', { room, body: 1 }, 'forbidden');
    await ana.ask('token', { token: tokenFor('ana', { scope: 'rooms:join rooms:publish' }) });
    await ana.ask('broadcast', { room, body: 1 });
  });
});

describe('issuer and audience, leeway', () => {
  const strict = withServer({ vars: { JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'tertulia', JWT_LEEWAY_S: '120' } });
  const read = (claims) => caller(strict, tokenFor('ana', claims))('GET', HISTORY);
  const good = { iss: 'https://id.example', aud: 'tertulia' };

  test('both have to fit', T, async () => {
    assertStatus(await read(good), 200);
    assertStatus(await read({ ...good, aud: ['other', 'tertulia'] }), 200);
    for (const claims of [{}, { iss: good.iss }, { aud: good.aud }, { ...good, iss: 'https://evil.example' }, { ...good, aud: 'other' }]) {
      assertProblem(await read(claims), 401, 'token_claims');
    }
  });

  test('the leeway counts both ways', T, async () => {
    assertStatus(await read({ ...good, exp: nowS() - 60 }), 200);
    assertStatus(await read({ ...good, nbf: nowS() + 60 }), 200);
    assertProblem(await read({ ...good, exp: nowS() - 180 }), 401, 'token_expired');
    assertProblem(await read({ ...good, nbf: nowS() + 180 }), 401, 'token_not_yet');
  });
});

describe('a public key', () => {
  const { publicKey, privateKey } = keyPair('rsa');
  const other = keyPair('rsa');
  const rsa = withServer({ vars: { JWT_SECRET: null, JWT_PUBLIC_KEY: publicKey } });

  test('RS256 is let in, and nothing the key did not sign', T, async () => {
    const claims = { sub: 'ana', exp: nowS() + 600 };
    const sign = (options) => mint(claims, { key: privateKey, alg: 'RS256', ...options });
    const client = await enter({ url: rsa, room: fresh(), token: sign() });
    assert.equal(client.user, 'ana');
    const wrong = [
      ['token_signature', sign({ key: other.privateKey })],
      ['token_algorithm', mint(claims, { alg: 'none' })],
      ['token_algorithm', mint(claims, { key: publicKey, alg: 'HS256' })],
      ['token_algorithm', mint(claims, { key: publicKey.trim(), alg: 'HS256' })],
      ['token_signature', mint(claims, { key: publicKey, alg: 'HS256', says: 'RS256' })],
      ['token_algorithm', sign({ says: 'HS256' })],
      ['token_algorithm', sign({ says: 'RS512' })],
    ];
    for (const [code, token] of wrong) {
      assertProblem(await caller(rsa, token)('GET', HISTORY), 401, code);
      const refused = await connect({ url: rsa, room: 'r', token });
      const closed = await refused.ended();
      assert.equal(closed.code, 4401);
      assert.ok(closed.reason.startsWith(code), closed.reason);
    }
  });

  test('the server stays well', { timeout: SOON * 2 }, async () => {
    assertStatus(await caller(rsa)('GET', '/health'), 200);
  });
});
