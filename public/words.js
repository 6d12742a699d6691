/** What the page says about states and refusals, in words a person understands. */

const ERRORS = {
  rate_limited: 'That was a bit fast. Wait a moment and try again.',
  budget_exceeded: 'The budget for questions is used up for now.',
  too_big: 'That is too long to send.',
  forbidden: 'You may not do that in this room.',
  queue_full: 'Too many questions are waiting. Try again shortly.',
  provider_unavailable: 'The AI cannot be reached right now.',
  unavailable: 'The service is not available right now.',
  timeout: 'No answer came. Try again.',
  disconnected: 'The connection was lost.',
  not_found: 'It is no longer there.',
};

export function errorWords({ code, message } = {}) {
  return ERRORS[code] ?? (message || 'Something went wrong.');
}

const REFUSALS = {
  token_missing: ['This room asks for a token', 'Guests are not let in here. Paste a token to come in.'],
  token_expired: ['Your token has expired', 'Paste a new one to come back in.'],
  token_not_yet: ['Your token is not valid yet', 'Wait until it is, or paste another one.'],
  token_revoked: ['Your token was revoked', 'Paste another one to come in.'],
  token_malformed: ['That is not a token', 'A token is three parts with dots between them. Check that it was copied whole.'],
  token_signature: ['The token was not accepted', 'It was signed with another key than this service has.'],
  token_algorithm: ['The token was not accepted', 'It is signed in a way this service does not take.'],
  token_claims: ['The token was not accepted', 'What it says does not fit this service.'],
  key_missing: ['No tokens can be checked yet', 'This service has no key set up, so it cannot let anyone in with a token. Try another token once it has one.'],
  forbidden: ['You may not enter this room', 'Guests or this token are not allowed here. A token for this room would let you in.'],
  invalid_name: ['That name will not do', 'Pick another room name.'],
  not_here: ['There is no such room here', 'Pick another room name.'],
  bad_address: ['That address will not do', 'The token or the room has characters that cannot be sent.'],
};

/** `{title, text, detail, askToken}` for a connection that will not come back by itself. */
export function refusalWords({ code, word, detail, token }, removed) {
  if (removed) {
    const by = removed.by ? ` by ${removed.by}` : '';
    return { title: `You were put out of the room${by}`, text: removed.reason || 'You can enter another room.', askToken: false };
  }
  const [title, text] = REFUSALS[word] ?? [
    code === 1009 ? 'That was too long to send' : 'The connection was refused',
    'It will not be tried again by itself.',
  ];
  const askToken = Boolean(token) || word === 'forbidden';
  return { title, text, detail: [word, detail].filter(Boolean).join(': ') || (code ? `code ${code}` : ''), askToken };
}

export function stateWords({ state, code, retryAt }) {
  const seconds = Math.max(0, Math.ceil(((retryAt ?? 0) - Date.now()) / 1000));
  const next = retryAt ? `in ${Math.max(1, seconds)} s` : '';
  switch (state) {
    case 'connecting': return 'Connecting…';
    case 'online': return 'Online';
    case 'reconnecting': return `Reconnecting ${next}`;
    case 'offline':
      if (code === 4409) return 'Opened elsewhere';
      return retryAt ? `Offline · trying ${next}` : 'Offline';
    case 'refused': return 'Refused';
    default: return '';
  }
}
