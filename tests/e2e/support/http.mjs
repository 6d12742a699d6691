/** HTTP as a backend sees it. */
import assert from 'node:assert/strict';

/**
 * A caller bound to a server and a token: `api('POST', '/v1/…', {body})` → {status, headers, body, text}.
 * `body` of the answer is parsed where its type is JSON. An object given as `body` is sent as JSON,
 * text and bytes as they are.
 */
export function caller(server, token) {
  return async function api(method, path, { body, headers = {}, token: other = token } = {}) {
    const sent = { ...headers };
    if (other) sent.authorization ??= `Bearer ${other}`;
    const asIs = typeof body === 'string' || body instanceof Uint8Array;
    if (body !== undefined && sent['content-type'] === undefined) sent['content-type'] = 'application/json';
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: sent,
      body: body === undefined || asIs ? body : JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(15_000),
    });
    return unpack(response);
  };
}

async function unpack(response) {
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text ? JSON.parse(text) : undefined,
  };
}

/** Asserts an `application/problem+json` of that status and word (or one of several) and returns it. */
export function assertProblem(answer, status, ...codes) {
  const shown = `${answer.status} ${answer.text?.slice(0, 400)}`;
  assert.equal(answer.status, status, shown);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, shown);
  const { body } = answer;
  assert.ok(codes.includes(body.code), `${codes.join(' or ')}, got ${shown}`);
  assert.equal(body.status, status, shown);
  assert.equal(typeof body.type, 'string', shown);
  assert.equal(typeof body.title, 'string', shown);
  assert.equal(typeof body.detail, 'string', shown);
  assert.ok(body.detail.length > 0, shown);
  assert.equal(typeof body.retryable, 'boolean', shown);
  return body;
}

/** Asserts the status and returns the body. */
export function assertStatus(answer, status) {
  assert.equal(answer.status, status, `${answer.status} ${answer.text?.slice(0, 400)}`);
  return answer.body;
}
