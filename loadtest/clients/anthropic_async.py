"""Anthropic's async SDK, unmodified, through Weir: the sync script's checks, and many streams at once."""

import asyncio

import anthropic

import anthropic_expect as expect
from support import BIG_TEXT, MODEL, PROMPT, UNKNOWN_MODEL, URL, check_weir_headers, dead_ends, fault, raises, run

client = anthropic.AsyncAnthropic(base_url=URL, api_key="test", timeout=30)
# Does not try again: one error is what is looked at.
once = client.with_options(max_retries=0)


def options(content=PROMPT, **more):
    return {"model": MODEL, "max_tokens": 24, "messages": [{"role": "user", "content": content}], **more}


async def whole():
    expect.answer(await client.messages.create(**options()))


async def headers():
    raw = await client.messages.with_raw_response.create(**options())
    check_weir_headers(raw.headers)
    expect.answer(await raw.parse())


async def stream():
    async with client.messages.stream(**options()) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    expect.answer(final)
    assert final.content[0].text == text


async def stream_events():
    expect.events([event.type async for event in await client.messages.create(**options(stream=True))])


async def tool_use():
    choice = {"tools": expect.TOOLS, "tool_choice": expect.FORECAST, "max_tokens": 200}
    expect.tool_use(await client.messages.create(**options(**choice)))
    async with client.messages.stream(**options(**choice)) as stream:
        expect.tool_use(await stream.get_final_message())


async def models():
    expect.models(await client.models.list())


async def unknown_model():
    with raises(anthropic.NotFoundError) as caught:
        await client.messages.create(**options(model=UNKNOWN_MODEL))
    expect.unknown_model(caught.error)


async def rate_limited():
    with raises(anthropic.RateLimitError) as caught:
        await once.messages.create(**options(extra_headers=fault("status=429;retry-after=2")))
    expect.rate_limited(caught.error)


async def overloaded():
    with raises(expect.OverloadedError) as caught:
        await once.messages.create(**options(extra_headers=fault("status=529")))
    expect.overloaded(caught.error)


async def unauthorized():
    with raises(anthropic.AuthenticationError) as caught:
        await once.messages.create(**options(extra_headers=fault("status=401")))
    expect.unauthorized(caught.error)


async def too_large():
    with raises(anthropic.APIStatusError) as caught:
        await once.messages.create(**options(BIG_TEXT))
    expect.too_large(caught.error)


async def no_upstream():
    for model, extra_headers in dead_ends():
        with raises(anthropic.InternalServerError) as caught:
            await once.messages.create(**options(model=model, extra_headers=extra_headers))
        expect.no_upstream(caught.error)


async def many_streams():
    await asyncio.gather(*(stream() for _ in range(30)))


run(
    whole, headers, stream, stream_events, tool_use, models, unknown_model, rate_limited, overloaded,
    unauthorized, too_large, no_upstream, many_streams,
)
