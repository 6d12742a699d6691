/** Bounded waits. Nothing here sleeps in place of an event. */
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** How long an event of a healthy local server may take. */
export const SOON = 8_000;

/** `promise`, or a failure that says what was awaited. `label` may be a function, read when time is up. */
export async function within(promise, ms, label) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const what = typeof label === 'function' ? label() : label;
      reject(new Error(`nothing after ${ms} ms: ${what}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * For states that no event announces (a port that opens, a row that HTTP shows): asks until
 * `look` returns something true, at most `attempts` times, `every` ms apart.
 */
export async function until(look, { attempts = 100, every = 100, label = 'the state' } = {}) {
  let last;
  for (let i = 0; i < attempts; i += 1) {
    try {
      const found = await look();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    await delay(every);
  }
  throw new Error(`${label} did not come in ${attempts} looks; the last one gave ${last?.stack ?? JSON.stringify(last)}`);
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Whether somebody listens there. */
export function isTaken(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
