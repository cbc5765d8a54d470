// Streams: how soon the first token comes, and whether every stream is whole.
//
// k6 has no events of its own: it hands over a streamed body only when it has ended. So:
//   stream_head_ms    time to the answer's first byte, its head (http_req_waiting). Gateway and model server send
//                     the head before there is a token, so this is not the first token;
//   first_token_ms    length of a stream of one token: its only token, then its end;
//   streams_whole     share of streams, of one token and of up to 64, of which every event is a `data:` line with
//                     JSON, all of one answer, with one finish reason, as many tokens as the usage chunk says, and
//                     `[DONE]` at the end of a body that its last chunk ended.

import { sleep } from 'k6';
import { Rate, Trend } from 'k6/metrics';
import { chat, flaw } from './weir.js';

const head = new Trend('stream_head_ms', true);
const firstToken = new Trend('first_token_ms', true);
const whole = new Rate('streams_whole');

export const options = {
  scenarios: {
    stream: { executor: 'constant-vus', vus: 20, duration: __ENV.DURATION || '1m', gracefulStop: '30s' },
  },
  thresholds: {
    streams_whole: ['rate==1'],
    first_token_ms: ['p(95)<800', 'p(99)<1500'],
    http_req_failed: ['rate==0'],
  },
};

export default function () {
  firstToken.add(stream('first token', 1).timings.duration);
  stream('stream', 64);
  sleep(0.5);
}

function stream(name, tokens) {
  const answer = chat(name, { max_tokens: tokens, stream: true, stream_options: { include_usage: true } });
  const why = flaw(answer, tokens);
  whole.add(why === '');
  if (why) {
    console.error(why);
  }
  head.add(answer.timings.waiting);
  return answer;
}
