/** Small helpers of the views. Text is always set as text: nothing a peer sends becomes markup. */

/** el('li', {class: 'x', 'data-id': '1', onclick}, child, …) */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const $ = (id) => document.getElementById(id);

const TONES = 10;

/** A person's colour, the same everywhere and every time. */
export function tone(user) {
  let hash = 2166136261;
  for (let i = 0; i < user.length; i += 1) hash = Math.imul(hash ^ user.charCodeAt(i), 16777619);
  return `tone-${(hash >>> 8) % TONES}`;
}

export function initials(name) {
  const words = name.trim().split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...(words[0] ?? '?')].slice(0, 2);
  return letters.join('').toLocaleUpperCase();
}

export function avatar(user, name) {
  if (user === 'ai') return el('span', { class: 'avatar ai', 'aria-hidden': 'true' }, '✦');
  return el('span', { class: `avatar ${tone(user)}`, 'aria-hidden': 'true' }, initials(name));
}

const URL_PATTERN = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;

/** Text with its web addresses as links. */
export function linked(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    parts.push(text.slice(at, match.index));
    parts.push(el('a', { href: match[0], target: '_blank', rel: 'noopener noreferrer nofollow' }, match[0]));
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)];
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

export function time(ts) {
  const date = new Date(ts);
  return el('time', { datetime: date.toISOString(), title: date.toLocaleString() }, CLOCK.format(date));
}

export function dayOf(ts) {
  const day = DAY.format(ts);
  return day === DAY.format(Date.now()) ? 'Today' : day;
}

/** "Ana", "Ana and Luis", "Ana, Luis and 3 others". */
export function names(list, shown = 3) {
  if (list.length <= shown) {
    return list.length < 2 ? list.join('') : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;
  }
  const rest = list.length - shown + 1;
  return `${list.slice(0, shown - 1).join(', ')} and ${rest} others`;
}

let pendingWords = [];
let speaking = 0;

/** For screen readers, politely and in one piece: what comes within a moment is one announcement. */
export function announce(text) {
  pendingWords.push(text);
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    const region = $('announcer');
    const said = pendingWords.length > 6 ? [...pendingWords.slice(0, 2), `and ${pendingWords.length - 2} more`] : pendingWords;
    pendingWords = [];
    region.append(el('div', {}, ...said.map((text) => el('p', {}, text))));
    while (region.children.length > 5) region.firstChild.remove();
  }, 250);
}
