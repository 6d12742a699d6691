/** The door: name, room, token; remembers them, and explains a refusal. */
import { $ } from './dom.js';
import { randomId } from './client.js';

const ROOM_PATTERN = /^[A-Za-z0-9_\-.:@|+=]{1,128}$/;
const GUEST_CHARS = 32;
const NAMES_KEPT = 20;

/** Storage may be forbidden: then nothing is remembered, and all the rest works. */
function recall(storage, key) {
  try {
    return globalThis[storage].getItem(`tertulia.${key}`) ?? '';
  } catch {
    return '';
  }
}

function remember(storage, key, value) {
  try {
    if (value) globalThis[storage].setItem(`tertulia.${key}`, value);
    else globalThis[storage].removeItem(`tertulia.${key}`);
  } catch { /* not remembered */ }
}

/** A secret per name: one browser's two windows with two names are two people. */
function guestSecret(name) {
  let known;
  try {
    known = Object.entries(JSON.parse(recall('localStorage', 'guests') || '{}'));
  } catch {
    known = [];
  }
  const [, secret = randomId(GUEST_CHARS)] = known.find(([other]) => other === name) ?? [];
  const kept = [...known.filter(([other]) => other !== name), [name, secret]].slice(-NAMES_KEPT);
  remember('localStorage', 'guests', JSON.stringify(Object.fromEntries(kept)));
  return secret;
}

/** For show only: the service reads the token, not the page. */
function claims(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

export class Entry {
  #token = '';
  #onEnter;

  constructor({ onEnter }) {
    this.#onEnter = onEnter;
    this.#prefill();
    $('entry-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    $('have-token').addEventListener('click', () => {
      this.#showToken(true);
      $('token').focus();
    });
    $('forget').addEventListener('click', () => {
      this.#setToken('');
      $('name').focus();
    });
    for (const id of ['name', 'room']) $(id).addEventListener('input', () => complain(id, ''));
  }

  focus() {
    const first = ['name', 'room'].map($).find((input) => input.offsetParent && !input.value);
    (first ?? $('enter')).focus({ preventScroll: true });
  }

  busy(busy) {
    $('enter').textContent = busy ? 'Entering…' : 'Enter';
  }

  refuse({ title, text, detail, askToken }) {
    this.busy(false);
    $('refusal').hidden = false;
    $('refusal-title').textContent = title;
    $('refusal-text').textContent = text;
    $('refusal-detail').textContent = detail ?? '';
    if (!askToken) return;
    const tried = this.#token;
    this.#setToken('');
    this.#showToken(true);
    $('token').value = tried;
    $('token').focus();
  }

  /** A token that was renewed in the room is the one to come back with. */
  keepToken(token) {
    this.#setToken(token);
  }

  #prefill() {
    const query = new URLSearchParams(location.search);
    const hash = new URLSearchParams(location.hash.slice(1));
    $('name').value = query.get('name') ?? recall('localStorage', 'name');
    $('room').value = query.get('room') ?? (recall('localStorage', 'room') || 'lobby');
    const given = hash.get('token') ?? query.get('token');
    this.#setToken(given ?? recall('sessionStorage', 'token'));
    if (!given) return;
    query.delete('token'); // not for the history, nor for a link that is passed on
    history.replaceState(null, '', `${location.pathname}${query.size ? `?${query}` : ''}`);
  }

  #setToken(token) {
    this.#token = token;
    remember('sessionStorage', 'token', token);
    const { name, sub } = claims(token);
    $('token-who').textContent = sub ? `as ${name ?? sub}, with a token.` : 'with a token.';
    $('token-chip').hidden = !token;
    $('name-row').hidden = Boolean(token);
    this.#showToken(false);
  }

  #showToken(show) {
    $('token').value = '';
    $('token-row').hidden = !show;
    $('have-token').hidden = show || Boolean(this.#token);
  }

  #submit() {
    const name = $('name').value.trim();
    const room = $('room').value.trim().replace(/\s+/g, '-');
    const pasted = $('token').value.trim().replace(/^Bearer\s+/i, '');
    const token = this.#token || pasted;
    const nameError = token || name ? '' : 'Pick a name, so that the others know who is talking.';
    const roomError = ROOM_PATTERN.test(room) ? '' : 'Letters without accents, digits and _ - . : @ | + = please, 128 at most.';
    complain('name', nameError);
    complain('room', roomError);
    if (nameError || roomError) return $(nameError ? 'name' : 'room').focus();
    $('room').value = room;
    if (pasted) this.#setToken(pasted);
    remember('localStorage', 'room', room);
    if (name) remember('localStorage', 'name', name);
    const query = new URLSearchParams({ room });
    history.replaceState(null, '', `${location.pathname}?${query}`);
    $('refusal').hidden = true;
    this.busy(true);
    return this.#onEnter(token ? { room, token } : { room, name, guest: guestSecret(name) });
  }
}

function complain(id, text) {
  $(`${id}-error`).textContent = text;
  if (text) $(id).setAttribute('aria-invalid', 'true');
  else $(id).removeAttribute('aria-invalid');
}
