/** Who is here: a list at the side, a drawer on narrow screens. */
import { $, avatar, el } from './dom.js';
import { displayName } from './people.js';

const STACK = 4;
const KNOWN = ['online', 'away', 'busy', 'offline'];

export class PeopleView {
  #toggle = $('people-toggle');
  #panel = $('people-panel');

  constructor() {
    this.#toggle.addEventListener('click', () => this.#open(this.#toggle.getAttribute('aria-expanded') !== 'true'));
    this.#panel.addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || !this.#isOpen()) return;
      this.#open(false);
      this.#toggle.focus();
    });
    document.addEventListener('pointerdown', ({ target }) => {
      if (this.#isOpen() && !this.#panel.contains(target)) this.#open(false);
    });
    this.#panel.addEventListener('focusout', ({ relatedTarget }) => {
      if (this.#isOpen() && relatedTarget && !this.#panel.contains(relatedTarget)) this.#open(false);
    });
    new ResizeObserver(() => this.#reachable()).observe($('people'));
  }

  close() {
    this.#open(false);
  }

  /** `people` is a People. */
  draw(people) {
    const list = people.list();
    const rows = list.map((member) => row(member, member.user === people.me));
    const more = people.count - list.length;
    if (more > 0) rows.push(el('li', { class: 'more' }, `and ${more.toLocaleString()} more`));
    $('people').replaceChildren(...rows);
    $('people-count').textContent = people.count.toLocaleString();
    $('people-stack').replaceChildren(...list.slice(0, STACK).map((member) => avatar(member.user, displayName(member))));
    $('people-summary').textContent = people.count === 1 ? 'Only you here' : `${people.count.toLocaleString()} people here`;
    this.#reachable();
  }

  #isOpen() {
    return this.#toggle.getAttribute('aria-expanded') === 'true';
  }

  #open(open) {
    this.#toggle.setAttribute('aria-expanded', String(open));
    this.#panel.classList.toggle('open', open);
    this.#reachable();
  }

  /** A list that scrolls must be reachable by keyboard; one that does not should not be in the way. */
  #reachable() {
    const list = $('people');
    if (list.scrollHeight > list.clientHeight + 1) list.tabIndex = 0;
    else list.removeAttribute('tabindex');
  }
}

function row(member, isMe) {
  const name = displayName(member);
  const status = member.status ?? 'online';
  const face = el('span', { class: 'face' }, avatar(member.user, name),
    el('span', { class: `presence ${KNOWN.includes(status) ? status : 'custom'}`, 'aria-hidden': 'true' }));
  const words = [status === 'online' ? '' : status, member.text ?? ''].filter(Boolean).join(' · ');
  return el('li', { 'data-user': member.user, 'data-presence': status }, face,
    el('span', { class: 'person' },
      el('span', { class: 'person-name' }, name),
      isMe ? el('span', { class: 'you' }, 'you') : null,
      member.role ? el('span', { class: 'role' }, member.role) : null,
      words ? el('span', { class: 'person-status' }, words) : null,
      status === 'online' ? el('span', { class: 'sr' }, ', online') : null));
}
