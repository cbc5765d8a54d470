"""LangChain's ChatAnthropic, unmodified, through Weir: answers, streams, a tool call and typed errors.

(A script called langchain_anthropic.py would import itself.)
"""

import anthropic
from langchain_anthropic import ChatAnthropic

from support import (
    MODEL, PARAMETERS, PROMPT, UNKNOWN_MODEL, URL, check_arguments, dead_ends, fault, raises, run, same,
)

TOOLS = [{"name": "forecast", "description": "Weather.", "input_schema": PARAMETERS}]


def claude(model=MODEL, max_tokens=24, **more):
    # Does not try again: one error is what is looked at.
    return ChatAnthropic(
        model=model, max_tokens=max_tokens, anthropic_api_url=URL, anthropic_api_key="test",
        default_request_timeout=30, max_retries=0, **more,
    )


chat = claude()


def check(message):
    assert message.text, "the answer is empty"
    assert message.usage_metadata["output_tokens"] > 0, message.usage_metadata
    assert message.response_metadata["stop_reason"] in ("end_turn", "max_tokens"), message.response_metadata


def check_pieces(pieces):
    assert len([piece for piece in pieces if piece.text]) > 3, pieces
    check(together(pieces))


def together(pieces):
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def invoke():
    message = chat.invoke(PROMPT)
    check(message)
    # Of a stream, it reads them in the last event, in which the simulated model server leaves them out.
    assert message.usage_metadata["input_tokens"] > 0, message.usage_metadata


async def ainvoke():
    check(await chat.ainvoke(PROMPT))


def stream():
    check_pieces(list(chat.stream(PROMPT)))


async def astream():
    check_pieces([piece async for piece in chat.astream(PROMPT)])


def check_call(message):
    [call] = message.tool_calls
    same(call["name"], "forecast")
    check_arguments(call["args"])
    same(message.response_metadata["stop_reason"], "tool_use")


def tool_call():
    armed = claude(max_tokens=200).bind_tools(TOOLS, tool_choice="forecast")
    check_call(armed.invoke(PROMPT))
    check_call(together(list(armed.stream(PROMPT))))


def batch():
    answers = chat.batch([f"{PROMPT} ({number})" for number in range(20)], config={"max_concurrency": 20})
    same(len(answers), 20)
    for answer in answers:
        check(answer)


def unknown_model():
    with raises(anthropic.NotFoundError) as caught:
        claude(UNKNOWN_MODEL).invoke(PROMPT)
    same(caught.error.body["error"]["type"], "not_found_error")


def rate_limited():
    with raises(anthropic.RateLimitError) as caught:
        claude(default_headers=fault("status=429;retry-after=2")).invoke(PROMPT)
    same(caught.error.response.headers["retry-after"], "2")


def no_upstream():
    for model, headers in dead_ends():
        with raises(anthropic.InternalServerError) as caught:
            list(claude(model, default_headers=headers).stream(PROMPT))
        same((caught.error.status_code, caught.error.body["error"]["type"]), (502, "api_error"))


def mid_stream_cut():
    for text in ("cut=5", "fin=5"):
        pieces = []
        with raises(anthropic.APIError) as caught:
            for piece in claude(default_headers=fault(text)).stream(PROMPT):
                pieces.append(piece)
        assert any(piece.text for piece in pieces), "what came before the cut is lost"
        assert not isinstance(caught.error, anthropic.APIConnectionError), repr(caught.error)


run(
    invoke, ainvoke, stream, astream, tool_call, batch, unknown_model, rate_limited, no_upstream, mid_stream_cut,
)
