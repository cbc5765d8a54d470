// OpenAI's SDK for Node, unmodified, through Weir: answers and streams of every path, models, typed errors, leaving.
// The environment says where to go, as support.py tells; OTHER_MODEL is one that openai_upstream.py answers.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

const { WEIR_URL, MODEL, DEAD_MODEL, OTHER_MODEL, SIM_URL } = process.env;
const PROMPT = 'Write to Zoë: "thank you", and ask for the 3/14 invoice.';
const WORDS = ['Dear', ' Zoë', ',', ' thank', ' you', '.'];
const messages = [{ role: 'user', content: PROMPT }];
// An answer that takes many seconds.
const LONG = { headers: { 'x-sim-output-tokens': '800' } };

const client = new OpenAI({ baseURL: `${WEIR_URL}/v1`, apiKey: 'test', timeout: 30_000 });
// Does not try again: one error is what is looked at.
const once = client.withOptions({ maxRetries: 0 });

const ask = (more = {}, options = {}, sdk = client) =>
  sdk.chat.completions.create({ model: MODEL, max_tokens: 24, messages, ...more }, options);
const fault = (text) => ({ headers: { 'x-sim-fault': text } });

async function all(stream) {
  const items = [];
  for await (const item of await stream) items.push(item);
  return items;
}

async function raised(kind, call) {
  const error = await call().then(() => assert.fail('nothing was raised'), (error) => error);
  assert.ok(error instanceof kind, `${error.stack} where ${kind.name} is due`);
  return error;
}

async function whole() {
  const { data, response } = await ask().withResponse();
  assert.ok(data.choices[0].message.content, 'the answer is empty');
  assert.ok(data.usage.completion_tokens > 0 && data.usage.prompt_tokens > 0);
  assert.ok(response.headers.get('x-request-id') && response.headers.get('x-weir-target'));
  assert.match(response.headers.get('server-timing'), /weir;dur=/);
}

async function stream() {
  const chunks = await all(ask({ stream: true, stream_options: { include_usage: true } }));
  const choices = chunks.flatMap((chunk) => chunk.choices);
  assert.ok(choices.length > 3 && choices.some((choice) => choice.delta.content), `${choices.length} choices`);
  assert.ok(['stop', 'length'].includes(choices.at(-1).finish_reason));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
}

async function streamHelper() {
  const stream = client.chat.completions.stream({ model: MODEL, max_tokens: 24, messages });
  let text = '';
  stream.on('content', (piece) => { text += piece; });
  const final = await stream.finalChatCompletion();
  assert.ok(text && final.choices[0].message.content === text);
}

async function toolCall() {
  const parameters = { type: 'object', properties: { days: { type: 'integer', minimum: 2 } }, required: ['days'] };
  const tools = [{ type: 'function', function: { name: 'forecast', description: 'Weather.', parameters } }];
  const choice = { tools, tool_choice: { type: 'function', function: { name: 'forecast' } }, max_tokens: 200 };
  const [call] = (await ask(choice)).choices[0].message.tool_calls;
  assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['forecast', { days: 2 }]);
}

async function manyStreams() {
  await Promise.all(Array.from({ length: 30 }, stream));
}

async function models() {
  const ids = (await all(client.models.list())).map((model) => model.id);
  assert.ok(ids.includes(MODEL), `${ids}`);
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
}

async function completions() {
  const options = { model: OTHER_MODEL, prompt: PROMPT };
  const whole = await client.completions.create(options);
  assert.deepEqual([whole.choices[0].text, whole.usage.completion_tokens], [WORDS.join(''), 6]);
  const chunks = await all(client.completions.create({ ...options, stream: true }));
  assert.deepEqual(chunks.map((chunk) => chunk.choices[0].text), [...WORDS, '']);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
}

async function embeddings() {
  // By default the SDK asks for base64 and unpacks it.
  for (const format of [{}, { encoding_format: 'float' }]) {
    const answer = await client.embeddings.create({ model: OTHER_MODEL, input: ['one', 'two'], ...format });
    assert.deepEqual(answer.data.map((entry) => Array.from(entry.embedding)), Array(2).fill([0.25, -0.5, 1]));
  }
}

async function responses() {
  const options = { model: OTHER_MODEL, input: PROMPT };
  const whole = await client.responses.create(options);
  assert.deepEqual([whole.output_text, whole.status], [WORDS.join(''), 'completed']);
  const events = await all(client.responses.create({ ...options, stream: true }));
  const deltas = events.filter((event) => event.type === 'response.output_text.delta');
  assert.deepEqual(deltas.map((event) => event.delta), WORDS);
  assert.deepEqual([events[0].type, events.at(-1).type], ['response.created', 'response.completed']);
  const final = await client.responses.stream(options).finalResponse();
  assert.equal(final.output_text, WORDS.join(''));
}

async function unknownModel() {
  const calls = [
    () => ask({ model: 'no-such-model' }),
    () => client.embeddings.create({ model: 'no-such-model', input: 'one' }),
    () => client.responses.create({ model: 'no-such-model', input: 'one', stream: true }),
  ];
  for (const call of calls) {
    const error = await raised(OpenAI.NotFoundError, call);
    assert.deepEqual([error.status, error.code, error.type], [404, 'model_not_found', 'invalid_request_error']);
    assert.ok(error.requestID, 'no request id');
  }
}

async function rateLimited() {
  const error = await raised(OpenAI.RateLimitError, () => ask({}, fault('status=429;retry-after=2'), once));
  assert.deepEqual([error.headers.get('retry-after'), error.type], ['2', 'rate_limit_error']);
}

async function unauthorized() {
  await raised(OpenAI.AuthenticationError, () => ask({}, fault('status=401'), once));
}

async function tooLarge() {
  // One MiB more than Weir takes by default.
  const content = 'x'.repeat(33 * 1024 * 1024);
  const error = await raised(OpenAI.APIError, () => ask({ messages: [{ role: 'user', content }] }, {}, once));
  assert.equal(error.status, 413);
}

async function noUpstream() {
  const ends = [[{}, fault('refuse')], ...(DEAD_MODEL ? [[{ model: DEAD_MODEL }, {}]] : [])];
  for (const [more, options] of ends) {
    for (const stream of [false, true]) {
      const error = await raised(OpenAI.APIError, () => ask({ ...more, stream }, options, once));
      assert.ok(error instanceof OpenAI.InternalServerError, error.stack);
      assert.deepEqual([error.status, error.type], [502, 'upstream_error']);
    }
  }
}

// An error event in mid-stream is raised, not taken for the end; what came before it is not lost.
async function brokenOff(call) {
  let items = 0;
  const error = await raised(OpenAI.APIError, async () => {
    for await (const _ of await call()) items += 1;
  });
  assert.ok(items > 2 && !(error instanceof OpenAI.APIConnectionError), error.stack);
  assert.equal(error.type, 'upstream_error');
}

async function midStreamCut() {
  for (const text of ['cut=5', 'fin=5']) await brokenOff(() => ask({ stream: true }, fault(text), once));
}

async function midStreamCutElsewhere() {
  const options = { model: OTHER_MODEL, stream: true };
  await brokenOff(() => once.completions.create({ ...options, prompt: 'cut' }));
  await brokenOff(() => once.responses.create({ ...options, input: 'cut' }));
}

const stats = async () => (await fetch(`${SIM_URL}/sim/stats`)).json();

// Waits until the model server gave up the call that `leave` left.
async function freed(leave) {
  const before = (await stats()).cancelled;
  await leave();
  for (let tries = 0; tries < 500; tries += 1) {
    const now = await stats();
    if (now.cancelled > before && now.running + now.waiting === 0) return;
    await sleep(10);
  }
  assert.fail('the model server still works for nobody');
}

async function leavingMidStream() {
  await freed(async () => {
    const stream = await ask({ stream: true, max_tokens: 800 }, LONG, once);
    for await (const _ of stream) break;
  });
  await freed(async () => {
    const controller = new AbortController();
    const stream = await ask({ stream: true, max_tokens: 800 }, { ...LONG, signal: controller.signal }, once);
    // The SDK ends the loop without an error when it was the caller who broke off.
    for await (const _ of stream) controller.abort();
  });
}

async function leavingBeforeTheFirstByte() {
  await freed(async () => {
    const options = { ...LONG, signal: AbortSignal.timeout(300) };
    await raised(OpenAI.APIUserAbortError, () => ask({ max_tokens: 800 }, options, once));
  });
}

const checks = [
  whole, stream, streamHelper, toolCall, manyStreams, models, unknownModel, rateLimited, unauthorized, tooLarge,
  noUpstream, midStreamCut,
  ...(OTHER_MODEL ? [completions, embeddings, responses, midStreamCutElsewhere] : []),
  ...(SIM_URL ? [leavingMidStream, leavingBeforeTheFirstByte] : []),
];
for (const check of checks) {
  try {
    await check();
  } catch (error) {
    console.error(error);
    console.log(`FAILED openai_node: ${check.name}`);
    process.exit(1);
  }
}
console.log(`ok openai_node: ${checks.length} checks`);
