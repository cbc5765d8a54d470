"""OpenAI's SDK, unmodified, through Weir: answers, streams, tools, models and typed errors."""

import openai

import openai_expect as expect
from support import (
    ASSEMBLED_MODEL, BIG_TEXT, MODEL, PROMPT, UNKNOWN_MODEL, URL, check_weir_headers, dead_ends, fault, raises,
    run,
)

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="test", timeout=30)
# Does not try again: one error is what is looked at.
once = client.with_options(max_retries=0)


def ask(sdk=client, content=PROMPT, **options):
    options = {"model": MODEL, "max_tokens": 24, **options}
    return sdk.chat.completions.create(messages=[{"role": "user", "content": content}], **options)


def whole():
    expect.answer(ask())


def headers():
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, max_tokens=8, messages=[{"role": "user", "content": PROMPT}]
    )
    check_weir_headers(raw.headers)
    expect.answer(raw.parse())


def stream():
    expect.stream(list(ask(stream=True)), usage=False)


def stream_with_usage():
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    expect.stream(chunks, usage=True)


def tool_call():
    expect.tool_call(ask(tools=expect.TOOLS, tool_choice=expect.FORECAST, max_tokens=200))


def streamed_tool_call():
    chunks = list(ask(tools=expect.TOOLS, tool_choice=expect.FORECAST, max_tokens=200, stream=True))
    expect.streamed_tool_call(chunks)


def put_together():
    if ASSEMBLED_MODEL:
        expect.answer(ask(model=ASSEMBLED_MODEL))
        choice = {"tools": expect.TOOLS, "tool_choice": expect.FORECAST, "max_tokens": 200}
        expect.tool_call(ask(model=ASSEMBLED_MODEL, **choice))


def models():
    expect.models(client.models.list())
    assert client.models.retrieve(MODEL).id == MODEL


def unknown_model():
    with raises(openai.NotFoundError) as caught:
        ask(model=UNKNOWN_MODEL)
    expect.unknown_model(caught.error)


def rate_limited():
    with raises(openai.RateLimitError) as caught:
        ask(once, extra_headers=fault("status=429;retry-after=2"))
    expect.rate_limited(caught.error)
    with raises(openai.RateLimitError) as caught:
        ask(once, extra_headers=fault("status=429"))
    expect.rate_limited_without_clock(caught.error)


def unauthorized():
    with raises(openai.AuthenticationError) as caught:
        ask(once, extra_headers=fault("status=401"))
    expect.unauthorized(caught.error)


def too_large():
    with raises(openai.APIStatusError) as caught:
        ask(once, content=BIG_TEXT)
    expect.too_large(caught.error)


def no_upstream():
    for model, extra_headers in dead_ends():
        for stream in (False, True):
            with raises(openai.InternalServerError) as caught:
                ask(once, model=model, extra_headers=extra_headers, stream=stream)
            expect.no_upstream(caught.error)


run(
    whole, headers, stream, stream_with_usage, tool_call, streamed_tool_call, put_together, models, unknown_model,
    expect.bad_json, rate_limited, unauthorized, too_large, no_upstream,
)
