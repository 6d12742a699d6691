/** The conversation on the page: places items in the order of the log, keeps the scroll where it was. */
import { avatar, dayOf, el, linked, names, time } from './dom.js';
import { displayName } from './people.js';
import { errorWords } from './words.js';

const GROUP_MS = 5 * 60_000;
const BURST_MS = 60_000;
const NEAR_END_PX = 80;
const QUOTE_CHARS = 90;
const ENDS = ['done', 'dead', 'cancelled'];
const GAP_WORDS = {
  loading: 'Some messages are missing. Loading them…',
  filled: 'You were away; what was missed has been loaded.',
  missing: 'Some messages are missing here and could not be brought back.',
};

export class LogView {
  #log;
  #list;
  #empty;
  #jump;
  #acts;
  #nodes = new Map(); // item or gap → li
  #order = new WeakMap(); // li → {gen, seq}
  #burst = null;
  #scroll = null;
  #atEnd = true;
  #resized;

  /** `acts`: `{thread, online(), person(user), onRetry(item), onStop(item)}`. */
  constructor({ log, list, empty, jump }, acts) {
    this.#log = log;
    this.#list = list;
    this.#empty = empty;
    this.#jump = jump;
    this.#acts = acts;
    list.replaceChildren();
    this.#refresh();
    log.onscroll = () => {
      this.#atEnd = this.#nearEnd();
      if (this.#atEnd) jump.hidden = true;
    };
    jump.onclick = () => {
      this.toEnd();
      log.focus({ preventScroll: true });
    };
    this.#resized = new ResizeObserver(() => { if (this.#atEnd) this.toEnd(); });
    this.#resized.observe(log);
  }

  /** Lets go of the page's elements; another conversation may have them. */
  close() {
    this.#resized.disconnect();
    this.#log.onscroll = null;
    this.#jump.onclick = null;
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#jump.hidden = true;
    this.#atEnd = true;
  }

  put({ item, change }) {
    this.#hold();
    const known = this.#nodes.get(item);
    if (known && change === 'text') {
      known.querySelector('[data-role="text"]').textContent = item.text;
      return;
    }
    const node = this.#draw(item, known);
    this.#nodes.set(item, node);
    this.#place(node, item);
    if (!known && !node.nextElementSibling && !item.mine && !this.#scroll.end) this.#jump.hidden = false;
    if (item.mine && change === 'new' && item.state === 'pending') this.#scroll.end = true;
  }

  remove({ item }) {
    this.#hold();
    const node = this.#nodes.get(item);
    const next = node?.nextElementSibling;
    node?.remove();
    this.#nodes.delete(item);
    if (next) this.#tidy(next);
  }

  gap({ gap }) {
    this.#hold();
    let node = this.#nodes.get(gap);
    if (!node) {
      node = el('li', { class: 'line gap' });
      this.#nodes.set(gap, node);
      this.#place(node, gap);
    }
    node.dataset.gap = gap.state;
    node.textContent = GAP_WORDS[gap.state];
  }

  /** Come and go, those close together in one line; returns what is new in words. */
  moved(moved) {
    this.#hold();
    const now = Date.now();
    const last = this.#list.lastElementChild;
    if (!this.#burst || this.#burst.node !== last || now - this.#burst.at > BURST_MS) {
      const node = el('li', { class: 'line' });
      this.#burst = { node, people: new Map() };
      this.#place(node, this.#acts.thread.place);
    }
    this.#burst.at = now;
    note(this.#burst.people, moved);
    this.#burst.node.textContent = comeAndGo(this.#burst.people);
    return comeAndGo(note(new Map(), moved));
  }

  // Drawing

  #draw(item, known) {
    const name = item.user === 'ai' ? 'AI' : displayName({ user: item.user, name: item.name ?? this.#acts.person(item.user)?.name });
    const node = known ?? el('li', { class: 'msg' });
    node.classList.toggle('mine', item.mine);
    node.classList.toggle('ai', item.user === 'ai');
    node.classList.toggle('asks', Boolean(item.ask));
    Object.assign(node.dataset, { id: item.id ?? item.key, user: item.user, ts: item.ts, state: item.state });
    if (item.answer) node.dataset.status = item.answer.status;
    const meta = el('p', { class: 'meta' },
      el('span', { class: 'who' }, item.mine ? 'You' : name),
      item.ask ? el('span', { class: 'tag' }, '✦ asked the AI') : null,
      item.type !== 'message' && item.type !== 'file' ? el('span', { class: 'tag' }, item.type) : null,
      item.answer?.model ? el('span', { class: 'model' }, item.answer.model) : null,
      time(item.ts));
    const body = el('div', { class: 'body' }, meta, ...(item.answer ? this.#answer(item) : this.#said(item)));
    node.toggleAttribute('aria-busy', false);
    if (item.answer && !ENDS.includes(item.answer.status)) node.setAttribute('aria-busy', 'true');
    const focused = node.contains(document.activeElement) && document.activeElement !== node;
    node.replaceChildren(avatar(item.user, name), body);
    if (focused) (node.querySelector('button') ?? this.#log).focus({ preventScroll: true });
    return node;
  }

  #said(item) {
    const text = el('p', { 'data-role': 'text' }, ...(item.file ? [fileLink(item)] : linked(item.text)));
    const parts = [el('div', { class: 'bubble' }, text)];
    if (item.state === 'pending') parts.push(el('p', { class: 'foot' }, this.#acts.online() ? 'Sending…' : 'Goes out when the connection is back'));
    if (item.state === 'failed') {
      parts.push(el('p', { class: 'foot failed' }, `Not sent. ${errorWords(item.error)} `,
        el('button', { class: 'link', type: 'button', 'data-role': 'retry', onclick: () => this.#acts.onRetry(item) }, 'Try again')));
    }
    return parts;
  }

  #answer(item) {
    const { answer, text } = item;
    const ended = ENDS.includes(answer.status);
    const prompt = this.#acts.thread.item(answer.promptId);
    const bubble = el('div', { class: 'bubble' });
    if (prompt) bubble.append(el('p', { class: 'quote' }, this.#quote(prompt)));
    bubble.append(el('p', { 'data-role': 'text' }, ...(ended ? linked(text) : [text])));
    if (!ended && !text) {
      bubble.append(el('p', { class: 'thinking' }, el('span', { class: 'dots', 'aria-hidden': 'true' }, el('i'), el('i'), el('i')),
        el('span', {}, waitWords(answer))));
    }
    const foot = el('p', { class: 'foot' }, footWords(item));
    const mayStop = !ended && (!answer.asker || answer.asker === this.#acts.thread.me);
    if (mayStop) {
      foot.append(' ', el('button', { class: 'link', type: 'button', 'data-role': 'stop', onclick: () => this.#acts.onStop(item) }, 'Stop'));
    }
    return foot.textContent ? [bubble, foot] : [bubble];
  }

  #quote(prompt) {
    const who = prompt.mine ? 'you' : displayName({ user: prompt.user, name: prompt.name ?? this.#acts.person(prompt.user)?.name });
    const chars = [...prompt.text];
    return `To ${who}: ${chars.slice(0, QUOTE_CHARS).join('')}${chars.length > QUOTE_CHARS ? '…' : ''}`;
  }

  // Placing

  #place(node, { gen, seq }) {
    this.#order.set(node, { gen, seq });
    let before = this.#list.lastElementChild;
    while (before && (before === node || this.#later(before, gen, seq))) before = before.previousElementSibling;
    if (node.parentNode !== this.#list || node.previousElementSibling !== before) {
      const wasNext = node.nextElementSibling;
      if (before) before.after(node);
      else this.#list.prepend(node);
      if (wasNext) this.#tidy(wasNext);
    }
    this.#tidy(node);
    if (node.nextElementSibling) this.#tidy(node.nextElementSibling);
    this.#refresh();
  }

  #later(node, gen, seq) {
    const other = this.#order.get(node);
    return other.gen > gen || (other.gen === gen && other.seq > seq);
  }

  /** Whether it goes on from the one above, and whether a day begins with it. */
  #tidy(node) {
    if (!node.dataset.ts) return;
    const above = node.previousElementSibling;
    let spoken = above;
    while (spoken && !spoken.dataset.ts) spoken = spoken.previousElementSibling;
    const day = dayOf(Number(node.dataset.ts));
    const begins = spoken ? dayOf(Number(spoken.dataset.ts)) !== day : day !== 'Today';
    if (begins) node.dataset.day = day;
    else delete node.dataset.day;
    const goesOn = above?.dataset.user === node.dataset.user && !begins && !node.dataset.status
      && Math.abs(node.dataset.ts - above.dataset.ts) < GROUP_MS && !node.classList.contains('asks');
    node.classList.toggle('follow', goesOn);
  }

  #refresh() {
    this.#empty.hidden = Boolean(this.#list.querySelector('.msg'));
  }

  // Scrolling

  #nearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  /** Once per batch of changes: stay at the end, or keep what is being read where it is. */
  #hold() {
    if (this.#scroll) return;
    const top = this.#log.scrollTop;
    const anchor = [...this.#list.children].find((node) => node.offsetTop + node.offsetHeight > top);
    this.#scroll = { end: this.#nearEnd(), anchor, offset: anchor ? anchor.offsetTop - top : 0 };
    queueMicrotask(() => {
      const { end, anchor: kept, offset } = this.#scroll;
      this.#scroll = null;
      if (end) this.toEnd();
      else if (kept?.isConnected) this.#log.scrollTop = kept.offsetTop - offset;
    });
  }
}

function fileLink({ file, text }) {
  const url = typeof file?.url === 'string' && /^(https?:\/\/|\/(?!\/))/.test(file.url) ? file.url : null;
  return url ? el('a', { href: url, rel: 'noopener noreferrer', target: '_blank' }, text) : text;
}

function waitWords({ status, attempt, maxAttempts }) {
  if (status === 'retrying') return `Retrying, ${attempt + 1} of ${maxAttempts ?? '?'}`;
  return status === 'queued' || status === 'delayed' ? 'Waiting for its turn' : 'Thinking';
}

function footWords({ answer, text }) {
  switch (answer.status) {
    case 'dead': return `Gave up${answer.attempt > 1 ? ` after ${answer.attempt} attempts` : ''}.${answer.error ? ` ${answer.error}` : ''}`;
    case 'cancelled': return 'Stopped.';
    case 'done': return '';
    case 'retrying': return text ? waitWords(answer) : '';
    default: return answer.attempt > 1 ? `Attempt ${answer.attempt} of ${answer.maxAttempts ?? '?'}` : '';
  }
}

/** Adds comings and goings to a map user → {name, first, last, reason}. */
function note(people, { came, left }) {
  const add = (member, what) => {
    const entry = people.get(member.user) ?? { first: what };
    people.set(member.user, { ...entry, name: displayName(member), last: what, reason: member.reason });
  };
  came.forEach((member) => add(member, 'came'));
  left.forEach((member) => add(member, 'left'));
  return people;
}

function comeAndGo(people) {
  const groups = [['came', 'came', 'came in'], ['came', 'left', 'looked in'], ['left', 'came', 'came back'], ['left', 'left', 'left']];
  const all = [...people.values()];
  return groups.map(([first, last, words]) => {
    const group = all.filter((entry) => entry.first === first && entry.last === last);
    if (!group.length) return '';
    const lost = last === 'left' && first === 'left' && group.every(({ reason }) => ['dropped', 'lost', 'silent'].includes(reason));
    return `${names(group.map(({ name }) => name))} ${lost ? 'lost the connection' : words}`;
  }).filter(Boolean).join(' · ');
}
