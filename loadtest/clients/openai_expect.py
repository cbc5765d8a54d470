"""What OpenAI's SDK must see through Weir, whether it is called sync or async."""

import json

from support import MODEL, PARAMETERS, UNKNOWN_MODEL, check_arguments, check_retry_after, post, same

TOOLS = [{"type": "function", "function": {"name": "forecast", "description": "Weather.", "parameters": PARAMETERS}}]
FORECAST = {"type": "function", "function": {"name": "forecast"}}


def answer(completion):
    choice = completion.choices[0]
    assert choice.message.content, "the answer is empty"
    assert choice.finish_reason in ("stop", "length"), choice.finish_reason
    assert completion.usage.completion_tokens > 0 and completion.usage.prompt_tokens > 0, completion.usage


def stream(chunks, usage):
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(chunks) > 3 and text, f"{len(chunks)} chunks, text {text!r}"
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert finishes[-1] in ("stop", "length") and not any(finishes[:-1]), finishes
    with_usage = [chunk for chunk in chunks if chunk.usage]
    if usage:
        same(with_usage, chunks[-1:])
        same(chunks[-1].choices, [])
        assert chunks[-1].usage.completion_tokens > 0
    else:
        same(with_usage, [])


def tool_call(completion):
    choice = completion.choices[0]
    same(choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0]
    same(call.function.name, "forecast")
    check_arguments(json.loads(call.function.arguments))


def streamed_tool_call(chunks):
    calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    same([call.function.name for call in calls if call.function.name], ["forecast"])
    assert len(calls) > 2, "the arguments came in one piece"
    check_arguments(json.loads("".join(call.function.arguments or "" for call in calls)))
    same([c.choices[0].finish_reason for c in chunks if c.choices][-1], "tool_calls")


def unknown_model(error):
    same((error.status_code, error.code, error.type), (404, "model_not_found", "invalid_request_error"))
    assert MODEL in error.message, f"{error.message!r} does not name {MODEL}"
    assert error.request_id, "no request id"


def bad_json():
    for body, code in [
        (b'{"model": "' + MODEL.encode() + b'", "messages": [', "invalid_json"),
        (b"[1, 2]", "invalid_json"),
        (b'{"messages": []}', "missing_model"),
        (b'{"model": "a", "model": "b", "messages": []}', "duplicate_key"),
    ]:
        status, headers, answer = post("/v1/chat/completions", body)
        same((status, answer["error"]["type"], answer["error"]["code"]), (400, "invalid_request_error", code))
        assert headers["x-request-id"]


def rate_limited(error):
    # The upstream's own clock, kept.
    same((error.status_code, error.response.headers["retry-after"]), (429, "2"))
    same(error.type, "rate_limit_error")


def rate_limited_without_clock(error):
    same(error.status_code, 429)
    check_retry_after(error.response.headers)


def unauthorized(error):
    same((error.status_code, error.type), (401, "authentication_error"))


def too_large(error):
    same((error.status_code, error.type), (413, "invalid_request_error"))


def no_upstream(error):
    same((error.status_code, error.type), (502, "upstream_error"))
    assert error.code, "no code"


def models(page):
    ids = [model.id for model in page]
    assert MODEL in ids and UNKNOWN_MODEL not in ids, ids
