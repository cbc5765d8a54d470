"""An upstream that breaks in the middle of an answer: no SDK may take the rest for a whole answer.

A stream gets some text and then an error event in its own protocol, which the SDKs raise as their own error. An
answer that is not streamed has no room for an event, so its transport is broken off.
"""

import anthropic
import openai

from support import MODEL, PROMPT, URL, fault, raises, run

MESSAGES = [{"role": "user", "content": PROMPT}]
# The connection breaks, or ends as if all had been said but without the protocol's last event.
FAULTS = ["cut=5", "fin=5"]


def options(text):
    return {"model": MODEL, "messages": MESSAGES, "max_tokens": 60, "extra_headers": fault(text)}


chat = openai.OpenAI(base_url=f"{URL}/v1", api_key="test", timeout=30, max_retries=0).chat.completions
messages = anthropic.Anthropic(base_url=URL, api_key="test", timeout=30, max_retries=0).messages


def openai_stream():
    for text in FAULTS:
        chunks = []
        with raises(openai.APIError) as caught:
            for chunk in chat.create(stream=True, **options(text)):
                chunks.append(chunk)
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert any(choice.delta.content for choice in choices), "what came before the cut is lost"
        assert not any(choice.finish_reason for choice in choices), "a finish reason was made up"
        # An event, not a broken connection.
        assert not isinstance(caught.error, openai.APIConnectionError), repr(caught.error)
        assert caught.error.type == "upstream_error", caught.error.body


def anthropic_stream():
    for text in FAULTS:
        kinds = []
        with raises(anthropic.APIError) as caught:
            for event in messages.create(stream=True, **options(text)):
                kinds.append(event.type)
        assert "content_block_delta" in kinds, "what came before the cut is lost"
        assert "message_stop" not in kinds and "message_delta" not in kinds, kinds
        assert not isinstance(caught.error, anthropic.APIConnectionError), repr(caught.error)
        assert caught.error.body["type"] == "error", caught.error.body


def anthropic_stream_helper():
    for text in FAULTS:
        with raises(anthropic.APIError):
            with messages.stream(**options(text)) as stream:
                stream.get_final_message()


def openai_whole():
    with raises(openai.APIError):
        chat.create(**options("cut=5"))


def anthropic_whole():
    with raises(anthropic.APIError):
        messages.create(**options("cut=5"))


run(openai_stream, anthropic_stream, anthropic_stream_helper, openai_whole, anthropic_whole)
