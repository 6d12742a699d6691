/** A real browser, offline, and what is asked of every page in it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { ROOT } from './server.mjs';

export const OUT = path.join(ROOT, 'tests/e2e/out');
const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** What the browser says by itself when a server is away or refuses. */
const NETWORK = /WebSocket connection|Failed to load resource|ERR_CONNECTION|net::ERR/;

export function launch() {
  fs.mkdirSync(OUT, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-quic', '--disable-background-networking'],
    timeout: 30_000,
  });
}

/** A person's browser: a context of its own, one page, and what went wrong in it (`errors`). */
export async function newPage(browser, { width, height = 760, ...options }) {
  const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(String(error.stack ?? error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !NETWORK.test(message.text())) page.errors.push(message.text());
  });
  return page;
}

/** Asserts that axe-core finds nothing, in light and in dark. */
export async function assertAccessible(page, where) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(AXE);
    const violations = await page.evaluate(async () => {
      const result = await window.axe.run(document, { resultTypes: ['violations'] });
      return result.violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.slice(0, 3).map((n) => `${n.target}: ${n.failureSummary}`) }));
    });
    assert.deepEqual(violations, [], `${where}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

/** Asserts that nothing is wider than the window. */
export async function assertNoSidewaysScroll(page, where) {
  const { wide, room } = await page.evaluate(() => ({
    wide: document.scrollingElement.scrollWidth, room: document.scrollingElement.clientWidth,
  }));
  assert.ok(wide <= room, `${where}: ${wide} px in a window of ${room}`);
}

/** A picture for people, in both colour schemes. */
export async function picture(page, name) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: path.join(OUT, `${name}-${page.viewportSize().width}-${colorScheme}.png`) });
  }
}

/** Presses Tab until the element of that id has the focus. */
export async function tabTo(page, id, key = 'Tab') {
  const passed = [];
  for (let i = 0; i < 40; i += 1) {
    const at = await page.evaluate(() => document.activeElement?.id);
    if (at === id) return;
    passed.push(at);
    await page.keyboard.press(key);
  }
  assert.fail(`no way by ${key} to #${id}; passed ${passed.join(', ')}`);
}
