/** What most test files begin with: one server, rooms of their own, people in them. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { connect, dropAll, enter } from './client.mjs';
import { caller } from './http.mjs';
import { startServer } from './server.mjs';
import { tokenFor } from './token.mjs';

let rooms = 0;

/** A room nobody has been in. */
export const fresh = (word = 'room') => `${word}-${(rooms += 1)}`;

/**
 * A server for the tests of a file, started before the first and ended after the last, come what may.
 * `options` may be a function (of things that start first). The returned object stands for the server.
 */
export function withServer(options = {}) {
  const at = {
    server: null,
    get url() { return at.server.url; },
    get wsUrl() { return at.server.wsUrl; },
    /** A caller with the token of `user`. */
    as: (user, claims) => caller(at, tokenFor(user, claims)),
    /** `user` in `room`, greeted. */
    person: (user, room, { claims, ...rest } = {}) =>
      enter({ url: at, room, token: tokenFor(user, claims), ...rest }),
    /** A socket with the token of `user`, wherever it leads. */
    socket: (user, { claims, ...rest } = {}) => connect({ url: at, token: tokenFor(user, claims), ...rest }),
  };
  before(async () => {
    at.server = await startServer(typeof options === 'function' ? await options() : options);
  }, { timeout: 90_000 });
  after(async () => {
    dropAll();
    await at.server?.stop();
  }, { timeout: 30_000 });
  return at;
}

/** Everybody in `clients` says something and hears everybody: the room is alive, and what came before has come. */
export async function allAlive(...clients) {
  for (const client of clients) {
    const word = `alive ${(rooms += 1)}`;
    await client.say(word);
    await Promise.all(clients.map((other) => other.hear(word)));
  }
}

/** Asserts that nothing that fits was told to `client` so far. */
export function assertUntold(client, match, why) {
  const told = client.all(match);
  assert.deepEqual(told, [], why ?? 'this should not have been told');
}

/** Asserts what every logged envelope has. */
export function assertLogged(envelope, room) {
  const shown = JSON.stringify(envelope);
  assert.equal(envelope.room, room, shown);
  assert.match(envelope.epoch, /^[0-9a-f]{12}$/, shown);
  assert.ok(Number.isSafeInteger(envelope.seq) && envelope.seq > 0, shown);
  assert.ok(Number.isSafeInteger(envelope.ts) && Math.abs(envelope.ts - Date.now()) < 3_600_000, shown);
  assert.equal(typeof envelope.id, 'string', shown);
}
