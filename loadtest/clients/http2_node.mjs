// Node's own HTTP/2 client, on one connection in clear text: requests in turn and at once, and one that leaves or
// breaks off while the others go on. The environment says where to go, as support.py tells.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';

const { WEIR_URL, MODEL, SIM_URL } = process.env;
const session = http2.connect(WEIR_URL);
session.on('error', (error) => console.error(error));
session.on('goaway', (code) => console.error(`the connection was ended with code ${code}`));

function open(more = {}, headers = {}) {
  const messages = [{ role: 'user', content: 'Write to Zoë.' }];
  const stream = session.request({
    ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json', ...headers,
  });
  stream.setEncoding('utf8');
  stream.setTimeout(30_000, () => stream.destroy(new Error('30 s without a byte')));
  stream.end(JSON.stringify({ model: MODEL, max_tokens: 24, messages, ...more }));
  return stream;
}

// The status and the text; a stream that is reset is an error.
function answered(stream) {
  return new Promise((resolve, reject) => {
    let status;
    let text = '';
    stream.on('response', (headers) => { status = headers[':status']; });
    stream.on('data', (piece) => { text += piece; });
    stream.on('end', () => resolve({ status, text }));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('aborted')));
  });
}

const ask = (more, headers) => answered(open(more, headers));
const many = (count, call) => Promise.all(Array.from({ length: count }, call));

function checkWhole({ status, text }) {
  assert.equal(status, 200, text);
  assert.equal(JSON.parse(text).choices[0].finish_reason, 'length');
}

function checkStream({ status, text }) {
  assert.equal(status, 200, text);
  assert.ok(text.endsWith('data: [DONE]\n\n') && text.split('"delta":').length > 20, text);
}

async function inTurn() {
  for (let count = 0; count < 20; count += 1) checkWhole(await ask({ max_tokens: 1 }));
}

async function atOnce() {
  (await many(20, () => ask())).forEach(checkWhole);
}

async function streamsAtOnce() {
  (await many(20, () => ask({ stream: true }))).forEach(checkStream);
}

async function errorsBetween() {
  const answers = await Promise.all([
    ask({ stream: true }),
    ask({ model: 'no-such-model' }),
    ask({}, { 'x-sim-fault': 'refuse' }),
    ask({ stream: true }, { 'x-sim-fault': 'cut=5' }),
    ask({ stream: true }),
  ]);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 404, 502, 200, 200]);
  checkStream(answers[0]);
  assert.match(answers[3].text, /"type":"upstream_error"/);
  checkStream(answers[4]);
}

// What cannot be finished is reset, by itself: an answer that is not streamed has no room for an error event.
async function resetBetween() {
  const beside = many(3, () => ask({ stream: true }));
  await assert.rejects(ask({}, { 'x-sim-fault': 'cut=5' }));
  (await beside).forEach(checkStream);
}

const stats = async () => (await fetch(`${SIM_URL}/sim/stats`)).json();

// A stream that is cancelled frees its model server although its connection stays.
async function leaving() {
  const { cancelled } = await stats();
  const beside = many(3, () => ask({ stream: true }));
  const left = open({ stream: true, max_tokens: 800 }, { 'x-sim-output-tokens': '800' });
  await new Promise((resolve, reject) => {
    left.once('data', resolve);
    left.once('error', reject);
  });
  left.close(http2.constants.NGHTTP2_CANCEL);
  (await beside).forEach(checkStream);
  for (let tries = 0; tries < 500; tries += 1) {
    const now = await stats();
    if (now.cancelled > cancelled && now.running + now.waiting === 0) return;
    await sleep(10);
  }
  assert.fail('the model server still works for nobody');
}

const checks = [
  inTurn, atOnce, streamsAtOnce, errorsBetween, resetBetween, ...(SIM_URL ? [leaving] : []),
  function stillTheSameConnection() {
    assert.ok(!session.closed && !session.destroyed);
  },
];
for (const check of checks) {
  try {
    await check();
  } catch (error) {
    console.error(error);
    console.log(`FAILED http2_node: ${check.name}`);
    process.exit(1);
  }
}
session.close();
console.log(`ok http2_node: ${checks.length} checks`);
