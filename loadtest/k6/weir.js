// What the scripts share: where the gateway is, how a request looks, and when an answer is whole.
//
//   WEIR_URL   the gateway (default http://127.0.0.1:8080)
//   MODEL      a model it has a route for (default letter-writer)
//   WEIR_KEY   a key, if it wants one

import http from 'k6/http';

export const url = (__ENV.WEIR_URL || 'http://127.0.0.1:8080').replace(/\/$/, '');
export const model = __ENV.MODEL || 'letter-writer';

const headers = { 'content-type': 'application/json' };
if (__ENV.WEIR_KEY) {
  headers.authorization = `Bearer ${__ENV.WEIR_KEY}`;
}

// Sends a chat completion; what differs from the plainest one is in `fields`.
export function chat(name, fields) {
  const prompt = `A letter about tulips for reader ${__VU}-${__ITER}.`;
  const body = Object.assign({ model, messages: [{ role: 'user', content: prompt }] }, fields);
  return post(name, '/v1/chat/completions', JSON.stringify(body));
}

export function post(name, path, body, more) {
  const params = { headers: Object.assign({}, headers, more), tags: { name }, timeout: '60s' };
  return http.post(`${url}${path}`, body, params);
}

export function get(name, path) {
  return http.get(`${url}${path}`, { headers, tags: { name } });
}

// The answer's JSON document, or an empty one.
export function document(answer) {
  try {
    return answer.json() || {};
  } catch (_) {
    return {};
  }
}

// Whether a whole chat completion of at most `tokens` tokens came.
export function isWhole(answer, tokens) {
  const { choices, usage } = document(answer);
  return answer.status === 200 && !!choices && choices.length === 1 && choices[0].message.content.length > 0 &&
    !!usage && isCount(usage.completion_tokens, tokens);
}

export function isCount(count, max) {
  return count >= 1 && count <= max;
}

// Why a streamed chat completion is not whole; nothing if it is. k6 hands a body over only when it has ended; a
// body whose chunks break off is an error of the request. modelsim puts one token into an event.
export function flaw(answer, tokens) {
  if (answer.error) {
    return `the answer broke off: ${answer.error}`;
  }
  if (answer.status !== 200 || !(answer.headers['Content-Type'] || '').startsWith('text/event-stream')) {
    return `status ${answer.status}, ${answer.headers['Content-Type']}`;
  }
  const events = answer.body.split('\n\n');
  if (events.pop() !== '' || events.pop() !== 'data: [DONE]') {
    return 'the stream does not end with [DONE]';
  }
  const seen = { ids: {}, tokens: 0, finished: 0, counted: null };
  for (const event of events) {
    if (!event.startsWith('data: ')) {
      return `not a data line: ${event.slice(0, 40)}`;
    }
    try {
      note(seen, JSON.parse(event.slice('data: '.length)));
    } catch (error) {
      return `an event is not JSON: ${error.message}`;
    }
  }
  if (Object.keys(seen.ids).length !== 1) {
    return 'events of more than one answer';
  }
  if (seen.finished !== 1) {
    return `${seen.finished} finish reasons`;
  }
  return isCount(seen.tokens, tokens) && seen.counted === seen.tokens ? '' :
    `${seen.tokens} tokens came, the usage chunk says ${seen.counted}, at most ${tokens} were asked for`;
}

function note(seen, chunk) {
  seen.ids[chunk.id] = true;
  if (chunk.usage) {
    seen.counted = chunk.usage.completion_tokens;
  }
  for (const choice of chunk.choices) {
    seen.tokens += choice.delta.content ? 1 : 0;
    seen.finished += choice.finish_reason ? 1 : 0;
  }
}
