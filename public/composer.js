/** Where one writes: says something, or asks the AI. */
import { $ } from './dom.js';

const MAX_HEIGHT_PX = 180;

export class Composer {
  #input = $('message');
  #asking = false;
  #onSay;
  #onAsk;

  constructor({ onSay, onAsk }) {
    this.#onSay = onSay;
    this.#onAsk = onAsk;
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send(this.#asking);
    });
    $('ask').addEventListener('click', () => {
      this.#mode(!this.#asking);
      this.#input.focus();
    });
    this.#input.addEventListener('input', () => this.#fit());
    this.#input.addEventListener('keydown', (event) => this.#onKey(event));
    const mac = /Mac|iPhone|iPad/.test(navigator.platform ?? '');
    if (mac) $('keys').querySelectorAll('kbd')[3].textContent = '⌘';
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  enable(enabled) {
    for (const id of ['message', 'ask', 'send']) $(id).disabled = !enabled;
  }

  #onKey(event) {
    if (event.isComposing) return;
    if (event.key === 'Escape' && this.#asking) this.#mode(false);
    if (event.key !== 'Enter' || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.#send(this.#asking || event.ctrlKey || event.metaKey);
  }

  #mode(asking) {
    this.#asking = asking;
    $('composer').classList.toggle('asking', asking);
    $('ask').setAttribute('aria-pressed', String(asking));
    $('send').textContent = asking ? 'Ask' : 'Send';
    $('message-label').textContent = asking ? 'Question to the AI' : 'Message';
    this.#input.placeholder = asking ? 'Ask the AI, all will see the answer' : 'Say something';
  }

  #send(asking) {
    const text = this.#input.value.trim();
    this.focus();
    if (!text) return;
    this.#input.value = '';
    this.#fit();
    this.#mode(false); // one question at a time: nobody asks by mistake what was meant for the room
    if (asking) this.#onAsk(text);
    else this.#onSay(text);
  }

  #fit() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${Math.min(this.#input.scrollHeight + 2, MAX_HEIGHT_PX)}px`;
  }
}
