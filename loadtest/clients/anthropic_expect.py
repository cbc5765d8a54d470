"""What Anthropic's SDK must see through Weir, whether it is called sync or async."""

import anthropic

from support import MODEL, PARAMETERS, UNKNOWN_MODEL, check_arguments, check_retry_after, post, same

TOOLS = [{"name": "forecast", "description": "Weather.", "input_schema": PARAMETERS}]
FORECAST = {"type": "tool", "name": "forecast"}


def answer(message):
    assert message.content[0].text, "the answer is empty"
    assert message.stop_reason in ("end_turn", "max_tokens"), message.stop_reason
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, message.usage


def events(kinds):
    """The order that Anthropic promises; pings may come anywhere."""
    kinds = [kind for kind in kinds if kind != "ping"]
    same(kinds[:2], ["message_start", "content_block_start"])
    same(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
    same(set(kinds[2:-3]), {"content_block_delta"})


def tool_use(message):
    same(message.stop_reason, "tool_use")
    block = message.content[0]
    same((block.type, block.name), ("tool_use", "forecast"))
    check_arguments(block.input)


def envelope(error, status, kind):
    same((error.status_code, error.body["type"], error.body["error"]["type"]), (status, "error", kind))
    assert error.body["error"]["message"], "no message"


def own_envelope(error, status, kind):
    """An error that Weir made: it can be found in the log by its id."""
    envelope(error, status, kind)
    same(error.body["request_id"], error.response.headers["x-request-id"])


def unknown_model(error):
    own_envelope(error, 404, "not_found_error")
    assert MODEL in str(error), f"{error} does not name {MODEL}"


def bad_json():
    for body in (b'{"model": "x", "messages": [', b"[1, 2]", b'{"max_tokens": 5, "messages": []}'):
        status, headers, answer = post("/v1/messages", body, {"anthropic-version": "2023-06-01"})
        same((status, answer["type"], answer["error"]["type"]), (400, "error", "invalid_request_error"))
        same(answer["request_id"], headers["x-request-id"])


def rate_limited(error):
    envelope(error, 429, "rate_limit_error")
    # The upstream's own clock, kept.
    same(error.response.headers["retry-after"], "2")


# Not in every version of the SDK.
OverloadedError = getattr(anthropic, "OverloadedError", anthropic.InternalServerError)


def overloaded(error):
    envelope(error, 529, "overloaded_error")
    check_retry_after(error.response.headers)


def unauthorized(error):
    envelope(error, 401, "authentication_error")


def too_large(error):
    own_envelope(error, 413, "request_too_large")


def no_upstream(error):
    own_envelope(error, 502, "api_error")


def models(page):
    same([model.type for model in page.data], ["model"] * len(page.data))
    ids = [model.id for model in page.data]
    assert MODEL in ids and UNKNOWN_MODEL not in ids, ids
