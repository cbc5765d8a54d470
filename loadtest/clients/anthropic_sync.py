"""Anthropic's SDK, unmodified, through Weir: answers, streams, tools, models and typed errors."""

import anthropic

import anthropic_expect as expect
from support import (
    ASSEMBLED_MODEL, BIG_TEXT, MODEL, PROMPT, UNKNOWN_MODEL, URL, check_weir_headers, dead_ends, fault, raises,
    run,
)

client = anthropic.Anthropic(base_url=URL, api_key="test", timeout=30)
# Does not try again: one error is what is looked at.
once = client.with_options(max_retries=0)


def options(content=PROMPT, **more):
    return {"model": MODEL, "max_tokens": 24, "messages": [{"role": "user", "content": content}], **more}


def whole():
    expect.answer(client.messages.create(**options()))


def headers():
    raw = client.messages.with_raw_response.create(**options())
    check_weir_headers(raw.headers)
    expect.answer(raw.parse())


def stream():
    with client.messages.stream(**options()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    expect.answer(final)
    assert final.content[0].text == text


def stream_events():
    expect.events([event.type for event in client.messages.create(**options(stream=True))])


def tool_use():
    choice = {"tools": expect.TOOLS, "tool_choice": expect.FORECAST, "max_tokens": 200}
    expect.tool_use(client.messages.create(**options(**choice)))
    with client.messages.stream(**options(**choice)) as stream:
        expect.tool_use(stream.get_final_message())


def put_together():
    if ASSEMBLED_MODEL:
        expect.answer(client.messages.create(**options(model=ASSEMBLED_MODEL)))
        choice = {"tools": expect.TOOLS, "tool_choice": expect.FORECAST, "max_tokens": 200}
        expect.tool_use(client.messages.create(**options(model=ASSEMBLED_MODEL, **choice)))


def models():
    expect.models(client.models.list())
    assert client.models.retrieve(MODEL).id == MODEL


def unknown_model():
    with raises(anthropic.NotFoundError) as caught:
        client.messages.create(**options(model=UNKNOWN_MODEL))
    expect.unknown_model(caught.error)


def rate_limited():
    with raises(anthropic.RateLimitError) as caught:
        once.messages.create(**options(extra_headers=fault("status=429;retry-after=2")))
    expect.rate_limited(caught.error)


def overloaded():
    with raises(expect.OverloadedError) as caught:
        once.messages.create(**options(extra_headers=fault("status=529")))
    expect.overloaded(caught.error)


def unauthorized():
    with raises(anthropic.AuthenticationError) as caught:
        once.messages.create(**options(extra_headers=fault("status=401")))
    expect.unauthorized(caught.error)


def too_large():
    with raises(anthropic.APIStatusError) as caught:
        once.messages.create(**options(BIG_TEXT))
    expect.too_large(caught.error)


def no_upstream():
    for model, extra_headers in dead_ends():
        for stream in (False, True):
            with raises(anthropic.InternalServerError) as caught:
                once.messages.create(**options(model=model, extra_headers=extra_headers, stream=stream))
            expect.no_upstream(caught.error)


run(
    whole, headers, stream, stream_events, tool_use, put_together, models, unknown_model, expect.bad_json,
    rate_limited, overloaded, unauthorized, too_large, no_upstream,
)
