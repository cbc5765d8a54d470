// 50 users for two minutes, each of whom reads for a second between two short answers.
//
// http_req_duration is the whole answer's time: up to 16 tokens, for which the model server takes about 0.25 s.

import { check, sleep } from 'k6';
import { chat, isWhole } from './weir.js';

export const options = {
  scenarios: {
    steady: { executor: 'constant-vus', vus: 50, duration: __ENV.DURATION || '2m', gracefulStop: '30s' },
  },
  thresholds: {
    http_req_duration: ['p(95)<800', 'p(99)<1500'],
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
  },
};

export default function () {
  check(chat('whole', { max_tokens: 16 }), { 'a whole answer': (answer) => isWhole(answer, 16) });
  sleep(1);
}
