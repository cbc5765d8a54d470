"""OpenAI's async SDK, unmodified, through Weir: the sync script's checks, and many calls at once."""

import asyncio
from collections import defaultdict

import openai

import openai_expect as expect
from support import BIG_TEXT, MODEL, PROMPT, UNKNOWN_MODEL, URL, check_weir_headers, dead_ends, fault, raises, run

client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="test", timeout=30)
# Does not try again: one error is what is looked at.
once = client.with_options(max_retries=0)


async def ask(sdk=client, content=PROMPT, **options):
    options = {"model": MODEL, "max_tokens": 24, **options}
    return await sdk.chat.completions.create(messages=[{"role": "user", "content": content}], **options)


async def ask_raw(content):
    messages = [{"role": "user", "content": content}]
    return await client.chat.completions.with_raw_response.create(model=MODEL, max_tokens=8, messages=messages)


async def chunks(**options):
    return [chunk async for chunk in await ask(stream=True, **options)]


async def whole():
    expect.answer(await ask())


async def headers():
    raw = await ask_raw(PROMPT)
    check_weir_headers(raw.headers)
    expect.answer(raw.parse())


async def stream():
    expect.stream(await chunks(), usage=False)


async def stream_with_usage():
    expect.stream(await chunks(stream_options={"include_usage": True}), usage=True)


async def tool_call():
    expect.tool_call(await ask(tools=expect.TOOLS, tool_choice=expect.FORECAST, max_tokens=200))


async def streamed_tool_call():
    options = {"tools": expect.TOOLS, "tool_choice": expect.FORECAST, "max_tokens": 200}
    expect.streamed_tool_call(await chunks(**options))


async def models():
    expect.models([model async for model in client.models.list()])


async def unknown_model():
    with raises(openai.NotFoundError) as caught:
        await ask(model=UNKNOWN_MODEL)
    expect.unknown_model(caught.error)


async def rate_limited():
    with raises(openai.RateLimitError) as caught:
        await ask(once, extra_headers=fault("status=429;retry-after=2"))
    expect.rate_limited(caught.error)


async def unauthorized():
    with raises(openai.AuthenticationError) as caught:
        await ask(once, extra_headers=fault("status=401"))
    expect.unauthorized(caught.error)


async def too_large():
    with raises(openai.APIStatusError) as caught:
        await ask(once, content=BIG_TEXT)
    expect.too_large(caught.error)


async def no_upstream():
    for model, extra_headers in dead_ends():
        with raises(openai.InternalServerError) as caught:
            await ask(once, model=model, extra_headers=extra_headers)
        expect.no_upstream(caught.error)


async def answers_are_not_mixed_up():
    """The simulator answers a prompt alike every time, each server in its own words."""
    prompts = [f"{PROMPT} ({number})" for number in range(5)] * 10
    raws = await asyncio.gather(*(ask_raw(prompt) for prompt in prompts))
    texts = defaultdict(set)
    for prompt, raw in zip(prompts, raws):
        text = raw.parse().choices[0].message.content
        texts[raw.headers["x-weir-target"], prompt].add(text)
    assert all(len(of_one) == 1 for of_one in texts.values()), texts
    targets = {target for target, _ in texts}
    for target in targets:
        of_target = [text for (of, _), (text,) in texts.items() if of == target]
        assert len(set(of_target)) == len(of_target), of_target


run(
    whole, headers, stream, stream_with_usage, tool_call, streamed_tool_call, models, unknown_model,
    rate_limited, unauthorized, too_large, no_upstream, answers_are_not_mixed_up,
)
