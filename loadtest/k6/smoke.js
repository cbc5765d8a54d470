// One user, every kind of answer a few times: does the gateway do its work at all?

import { check } from 'k6';
import http from 'k6/http';
import { chat, document, flaw, get, isCount, isWhole, model, post } from './weir.js';

export const options = {
  vus: 1,
  iterations: Number(__ENV.ITERATIONS || 10),
  // Every check must hold; how long anything takes is steady.js's matter.
  thresholds: { checks: ['rate==1'] },
};

// 404 and 400 are what is asked for here.
http.setResponseCallback(http.expectedStatuses(200, 400, 404));

export default function () {
  const whole = chat('whole', { max_tokens: 8 });
  check(whole, {
    'a whole answer': (answer) => isWhole(answer, 8),
    'a request id': (answer) => !!answer.headers['X-Request-Id'],
  });
  const stream = chat('stream', { max_tokens: 8, stream: true, stream_options: { include_usage: true } });
  check(stream, { 'a whole stream': (answer) => flaw(answer, 8) === '' });

  const letter = { model, max_tokens: 8, messages: [{ role: 'user', content: 'A letter about roses.' }] };
  const message = post('messages', '/v1/messages', JSON.stringify(letter), { 'anthropic-version': '2023-06-01' });
  check(message, {
    'a whole message': (answer) => answer.status === 200 && isCount(document(answer).usage.output_tokens, 8),
  });

  const models = get('models', '/v1/models');
  check(models, { 'the model is listed': (answer) => (document(answer).data || []).some(({ id }) => id === model) });

  const stranger = chat('unknown model', { model: 'nobody-has-this' });
  check(stranger, {
    'an unknown model is 404, with an error object': (answer) => answer.status === 404 && !!document(answer).error,
  });
  const broken = post('broken', '/v1/chat/completions', '{"model":');
  check(broken, {
    'broken JSON is 400, with an error object': (answer) => answer.status === 400 && !!document(answer).error,
  });
}
