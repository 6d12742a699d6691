// The page in a real browser: two people, narrow and wide, by mouse and by keyboard.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAccessible, assertNoSidewaysScroll, launch, newPage, picture, tabTo } from './support/browser.mjs';
import { fresh, withServer } from './support/fixture.mjs';
import { startOpenAi } from './support/openai.mjs';

const T = { timeout: 90_000 };
const ANSWER_MS = 20_000;
/** Longest back-off of the page, and a start of the server. */
const RETURN_MS = 45_000;

let ai;
let browser;
const at = withServer(async () => {
  ai = await startOpenAi();
  return {
    vars: {
      ALLOW_GUESTS: 'true', AI_PROVIDER: 'openai', AI_BASE_URL: ai.url, AI_MODEL: 'test-model', AI_TIMEOUT_S: '60',
      JOBS_LEASE_MS: '5000', JOBS_BACKOFF_MS: '200', PRESENCE_GRACE_MS: '1000', BREAKER_FAILURES: '1000',
    },
  };
});
before(async () => { browser = await launch(); }, { timeout: 60_000 });
after(async () => {
  await browser?.close();
  await ai?.close();
}, { timeout: 30_000 });

const isState = (page, state, timeout) => page.locator(`#state[data-state=${state}]`).waitFor({ state: 'attached', timeout });
const people = (page, n, timeout) => page.waitForFunction(
  (count) => document.querySelectorAll('#people li[data-user]').length === count, n, { timeout });
const said = (page, text) => page.locator('#log [data-role=text]', { hasText: text });

async function enterRoom(page, name, room) {
  await page.goto(at.url);
  await page.fill('#name', name);
  await page.fill('#room', room);
  await page.click('#enter');
  await isState(page, 'online');
  await page.locator('#message').waitFor();
}

async function say(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

describe('two people', () => {
  const room = fresh('plaza');
  let ana; // on a phone
  let bob; // at a desk

  before(async () => {
    ana = await newPage(browser, { width: 360 });
    bob = await newPage(browser, { width: 1280, height: 800 });
  });

  test('the entry: readable, nothing sideways, nothing for axe', T, async () => {
    for (const page of [ana, bob]) {
      await page.goto(at.url);
      await page.locator('#enter').waitFor();
      await assertNoSidewaysScroll(page, 'entry');
      await assertAccessible(page, 'entry');
      await picture(page, '1-entry');
    }
    await ana.fill('#name', 'Ana');
    await ana.fill('#room', 'no such name!');
    await ana.click('#enter');
    await ana.locator('#room[aria-invalid=true]').waitFor();
    await assertAccessible(ana, 'entry with an error');
  });

  test('they see each other come', T, async () => {
    await enterRoom(ana, 'Ana', room);
    await people(ana, 1);
    await assertAccessible(ana, 'an empty room');
    await picture(ana, '2-empty');
    await enterRoom(bob, 'Bob', room);
    await Promise.all([people(ana, 2), people(bob, 2)]);
    await bob.locator('#people li[data-user]', { hasText: 'Ana' }).waitFor();
    assert.match(await ana.locator('#people').textContent(), /Bob/);
  });

  test('they talk; endless words and lines stay inside', T, async () => {
    await say(ana, 'Hello from the phone');
    await Promise.all([said(ana, 'Hello from the phone').waitFor(), said(bob, 'Hello from the phone').waitFor()]);
    await say(bob, `${'x'.repeat(400)} https://example.org/${'path/'.repeat(40)}`);
    await said(ana, 'example.org').waitFor();
    await say(bob, '<img src=x onerror="document.title=\'broken\'"> <b>bold</b>');
    await said(ana, '<b>bold</b>').waitFor();
    for (const page of [ana, bob]) {
      await assertNoSidewaysScroll(page, 'talk');
      assert.doesNotMatch(await page.title(), /broken/);
      assert.equal(await page.locator('#log [data-id] b').count(), 0, 'text stays text');
      await assertAccessible(page, 'talk');
      await picture(page, '3-talk');
    }
  });

  test('a question: the answer streams into both', T, async () => {
    ai.script({ mode: 'hang_after', after: 3, text: 'One two three, and then the rest of it.' });
    await bob.click('#ask');
    await bob.fill('#message', 'What comes after three?');
    await bob.click('#send');
    const written = (page) => page.locator('#log [data-status=running] [data-role=text]', { hasText: 'One two three' });
    await Promise.all([ana, bob].map((page) => written(page).waitFor({ timeout: ANSWER_MS })));
    const request = await ai.next('request');
    assert.equal(request.chunks, 3, 'the provider is still at it');
    for (const page of [ana, bob]) {
      await assertNoSidewaysScroll(page, 'answering');
      await assertAccessible(page, 'answering');
      await picture(page, '4-answering');
    }
    request.release();
    for (const page of [ana, bob]) {
      const done = page.locator('#log [data-status=done] [data-role=text]');
      await done.waitFor({ timeout: ANSWER_MS });
      assert.equal(await done.count(), 1);
      assert.equal(await done.textContent(), 'One two three, and then the rest of it.');
      await assertAccessible(page, 'answered');
      await picture(page, '5-answered');
    }
  });

  test('the people of a narrow window are a touch away', T, async () => {
    await ana.click('#people-toggle');
    await ana.locator('#people li[data-user]', { hasText: 'Bob' }).waitFor({ state: 'visible' });
    await assertNoSidewaysScroll(ana, 'people');
    await assertAccessible(ana, 'people');
    await picture(ana, '6-people');
    await ana.keyboard.press('Escape');
  });

  test('the server dies and comes back: shown, and nothing is lost or doubled', { timeout: 180_000 }, async () => {
    await at.server.kill();
    await Promise.all([isState(ana, 'reconnecting', 15_000), isState(bob, 'reconnecting', 15_000)]);
    await assertAccessible(ana, 'reconnecting');
    await picture(ana, '7-reconnecting');
    await picture(bob, '7-reconnecting');
    await at.server.start();
    await bob.locator('#retry').click({ timeout: 1_000 }).catch(() => {}); // unless it is back already
    await Promise.all([isState(ana, 'online', RETURN_MS), isState(bob, 'online', RETURN_MS)]);
    await people(bob, 2);
    await say(ana, 'Here again');
    for (const page of [ana, bob]) {
      await said(page, 'Here again').waitFor();
      assert.equal(await said(page, 'Hello from the phone').count(), 1);
      assert.equal(await page.locator('#log [data-status=done]').count(), 1);
    }
    await people(ana, 2);
  });

  test('they see each other go', T, async () => {
    await bob.click('#leave');
    await bob.locator('#enter').waitFor();
    await people(ana, 1);
    await enterRoom(bob, 'Bob', room);
    await said(bob, 'Here again').waitFor();
    await people(ana, 2);
    await bob.context().close();
    await people(ana, 1, 15_000);
  });

  test('nothing went wrong inside', T, () => {
    assert.deepEqual([...ana.errors, ...bob.errors], []);
  });
});

describe('alone', () => {
  test('the whole walk by keyboard', T, async () => {
    const page = await newPage(browser, { width: 1280, height: 800 });
    await page.goto(at.url);
    await page.locator('#enter').waitFor();
    const type = async (text) => {
      await page.keyboard.press('Control+A');
      await page.keyboard.type(text);
    };
    await tabTo(page, 'name');
    await type('Kay');
    await tabTo(page, 'room');
    await type(fresh('keys'));
    await page.keyboard.press('Enter');
    await isState(page, 'online');
    await page.waitForFunction(() => document.activeElement?.id === 'message');
    await page.keyboard.type('By keyboard');
    await page.keyboard.press('Enter');
    await said(page, 'By keyboard').waitFor();
    ai.script({ mode: 'ok', text: 'Yes, you can.' });
    await page.keyboard.type('Can I ask by keyboard?');
    await page.keyboard.press('Control+Enter');
    await page.locator('#log [data-status=done] [data-role=text]', { hasText: 'Yes, you can.' }).waitFor({ timeout: ANSWER_MS });
    ai.script({ mode: 'ok', text: 'This way too.' });
    await tabTo(page, 'ask');
    await page.keyboard.press('Space');
    await tabTo(page, 'message');
    await page.keyboard.type('And with the button?');
    await page.keyboard.press('Enter');
    await page.locator('#log [data-status=done] [data-role=text]', { hasText: 'This way too.' }).waitFor({ timeout: ANSWER_MS });
    await tabTo(page, 'leave', 'Shift+Tab');
    const outline = await page.evaluate(() => {
      const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
      return outlineStyle !== 'none' || boxShadow !== 'none';
    });
    assert.ok(outline, 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.locator('#enter').waitFor();
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });

  test('a token that is not good is told, and how to go on', T, async () => {
    const page = await newPage(browser, { width: 360 });
    await page.goto(`${at.url}/?room=${fresh()}#token=gibberish`);
    await page.click('#enter');
    await page.locator('#refusal').waitFor();
    await assertNoSidewaysScroll(page, 'refused');
    await assertAccessible(page, 'refused');
    await picture(page, '8-refused');
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
});
