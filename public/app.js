/** The page: joins the client to the views. */
import { Client } from './client.js';
import { Composer } from './composer.js';
import { $, announce } from './dom.js';
import { Entry } from './entry.js';
import { LogView } from './log-view.js';
import { displayName } from './people.js';
import { PeopleView } from './people-view.js';
import { errorWords, refusalWords, stateWords } from './words.js';

const TOAST_MS = 5_000;

let client = null;
let log = null;
let inside = false;
let removed = null;
let shownState = { state: 'closed' };
let unread = 0;
let toastTimer = 0;

const people = new PeopleView();
const entry = new Entry({ onEnter: enter });
const composer = new Composer({ onSay: (text) => client?.say(text), onAsk: (text) => client?.ask(text) });

function enter(who) {
  client?.leave();
  log?.close();
  const mine = new Client({ base: location.origin.replace(/^http/, 'ws'), ...who });
  client = mine;
  inside = false;
  removed = null;
  const view = new LogView(
    { log: $('log'), list: $('messages'), empty: $('empty'), jump: $('jump') },
    {
      thread: mine.thread,
      online: () => mine.state === 'online',
      person: (user) => mine.people.get(user),
      onRetry: (item) => mine.resend(item),
      onStop: (item) => mine.cancel(item.answer.job).catch((error) => toast(errorWords(error))),
    },
  );
  log = view;
  const on = (type, listener) => mine.on(type, (detail) => { if (client === mine) listener(detail); });
  on('state', showState);
  on('entered', entered);
  on('people', () => people.draw(mine.people));
  on('item', (detail) => { view.put(detail); sayItem(detail); });
  on('removed', (detail) => view.remove(detail));
  on('gap', (detail) => view.gap(detail));
  on('moved', (moved) => announce(view.moved(moved)));
  on('older', ({ more }) => { $('older').hidden = !more; });
  on('notice', showNotice);
  mine.network(navigator.onLine);
  mine.visible(!document.hidden);
  mine.open();
}

function entered({ first, room }) {
  if (inside) return;
  inside = true;
  entry.busy(false);
  composer.enable(true);
  hideNotice();
  $('room-title').textContent = room;
  show('talk');
  titled();
  if (first) log.toEnd();
  composer.focus();
  announce(`You are in the room ${room}, ${$('people-summary').textContent}`);
}

function leave() {
  client?.leave();
  client = null;
  inside = false;
  people.close();
  hideNotice();
  showState({ state: 'closed' });
  show('entry');
  titled();
  entry.busy(false);
  $('room').focus();
}

function show(view) {
  document.body.dataset.view = view;
  $('entry').hidden = view !== 'entry';
  $('talk').hidden = view !== 'talk';
  $('skip').textContent = view === 'talk' ? 'Skip to writing' : 'Skip to the form';
}

// Connection

function showState(state) {
  const before = shownState;
  shownState = state;
  const node = $('state');
  node.dataset.state = state.state === 'closed' ? 'offline' : state.state;
  node.hidden = state.state === 'closed';
  $('retry').hidden = !['reconnecting', 'offline'].includes(state.state);
  drawState();
  for (const item of client?.thread.pending() ?? []) log.put({ item, change: 'changed' });
  if (inside) tellState(before, state);
  if (state.state === 'refused') refused(state);
}

function drawState() {
  $('state-text').textContent = stateWords(shownState);
}

/** A screen reader hears of a loss and of a return, not of every attempt. */
function tellState(before, { state }) {
  const down = ({ state: word }) => word === 'reconnecting' || word === 'offline';
  if (down({ state }) && before.state === 'online') announce(state === 'offline' ? 'Offline' : 'Connection lost, reconnecting');
  if (state !== 'online') return;
  if (before.state !== 'online') announce('Online again');
  hideNotice();
  composer.enable(true);
}

function refused(state) {
  const words = refusalWords(state, removed);
  if (!inside) {
    client = null;
    entry.refuse(words);
    return;
  }
  composer.enable(false);
  notice(words.title, `${words.text}${words.detail ? ` (${words.detail})` : ''}`, words.askToken);
  ($('talk-token-form').hidden ? $('leave') : $('talk-token')).focus();
}

function showNotice(detail) {
  if (detail.kind === 'removed' && (!detail.room || detail.room === client.room)) removed = detail;
  if (detail.kind === 'error') toast(errorWords(detail));
  if (detail.kind === 'expiring') notice('Your token is about to expire', 'Paste a new one to stay in the room.', true);
}

function notice(title, text, askToken) {
  $('talk-notice').hidden = false;
  $('talk-notice-title').textContent = title;
  $('talk-notice-text').textContent = text;
  $('talk-token-form').hidden = !askToken;
}

function hideNotice() {
  $('talk-notice').hidden = true;
}

async function useToken(event) {
  event.preventDefault();
  const token = $('talk-token').value.trim().replace(/^Bearer\s+/i, '');
  if (!token || !client) return;
  try {
    entry.keepToken(token);
    await client.useToken(token);
    $('talk-token').value = '';
    if (client.state === 'online') hideNotice();
    composer.focus();
  } catch (error) {
    toast(errorWords(error));
  }
}

// News

function sayItem({ item, change, past }) {
  if (past || item.mine) {
    if (item.state === 'failed' && change === 'changed') announce(`Not sent. ${errorWords(item.error)}`);
    return;
  }
  const whole = item.answer?.whole && change === 'changed';
  if (item.answer ? !whole : change !== 'new') return;
  const who = displayName({ user: item.user, name: item.name ?? client.people.get(item.user)?.name });
  announce(item.answer ? `The AI answers: ${item.text}` : `${who}: ${item.text}`);
  if (document.hidden) unread += 1;
  titled();
}

function titled() {
  const count = unread ? `(${unread}) ` : '';
  document.title = inside ? `${count}${client.room} · tertulia` : 'tertulia';
}

function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, TOAST_MS);
}

async function older() {
  const button = $('older');
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  const shown = $('messages').childElementCount;
  try {
    let more = true;
    for (let page = 0; more && page < 4 && $('messages').childElementCount === shown; page += 1) more = await client.older();
    announce('Earlier messages loaded');
    if (!more) $('log').focus({ preventScroll: true });
  } catch (error) {
    toast(errorWords(error));
  }
  button.removeAttribute('aria-disabled');
}

async function invite() {
  const link = `${location.origin}${location.pathname}?${new URLSearchParams({ room: client.room })}`;
  try {
    await navigator.clipboard.writeText(link);
    toast('The link to this room is copied.');
  } catch {
    toast(link);
  }
}

// Wiring

$('leave').addEventListener('click', leave);
$('retry').addEventListener('click', () => client?.retry());
$('older').addEventListener('click', older);
$('invite').addEventListener('click', invite);
$('talk-token-form').addEventListener('submit', useToken);
$('skip').addEventListener('click', (event) => {
  event.preventDefault();
  if (inside && !$('message').disabled) composer.focus();
  else $('main').querySelector('input:not([hidden])')?.focus();
});
document.addEventListener('visibilitychange', () => {
  client?.visible(!document.hidden);
  if (document.hidden) return;
  unread = 0;
  titled();
});
addEventListener('online', () => client?.network(true));
addEventListener('offline', () => client?.network(false));
setInterval(() => { if (shownState.retryAt) drawState(); }, 250);

entry.focus();
