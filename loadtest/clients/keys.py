"""Keys, as the official SDKs see them: a wrong one, one that has ended, and one that is not for this model.

Each raises the SDK's own typed error, at once: nobody asks again with the same key. Needs a Weir that knows KEY (for
MODEL only), EXPIRED_KEY, and a route FORBIDDEN_MODEL.
"""

import os

import anthropic
import openai

from support import MODEL, PROMPT, URL, raises, run, same

KEY, EXPIRED_KEY, FORBIDDEN_MODEL = (os.environ[name] for name in ("KEY", "EXPIRED_KEY", "FORBIDDEN_MODEL"))
MESSAGES = [{"role": "user", "content": PROMPT}]
# Spelled like a key, and nobody's.
WRONG_KEYS = [KEY[:-1], "weir-" + "0" * 64, EXPIRED_KEY, "sk-test"]


def openai_client(key, retries=2):
    return openai.OpenAI(base_url=f"{URL}/v1", api_key=key, timeout=30, max_retries=retries)


def anthropic_client(key, retries=2):
    return anthropic.Anthropic(base_url=URL, api_key=key, timeout=30, max_retries=retries)


def chat(client, model=MODEL, **more):
    return client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=8, **more)


def message(client, model=MODEL, **more):
    return client.messages.create(model=model, messages=MESSAGES, max_tokens=8, **more)


def tries(error):
    """How often the SDK had asked when it gave up."""
    return int(error.response.request.headers["x-stainless-retry-count"]) + 1


def openai_good():
    assert chat(openai_client(KEY)).choices[0].message.content
    assert list(chat(openai_client(KEY), stream=True))
    same([model.id for model in openai_client(KEY).models.list()], [MODEL])


def anthropic_good():
    assert message(anthropic_client(KEY)).content[0].text
    # The SDK's other way to send a key, `authorization`.
    bearer = anthropic.Anthropic(base_url=URL, auth_token=KEY, api_key=None, timeout=30)
    assert message(bearer).content[0].text
    same([model.id for model in anthropic_client(KEY).models.list()], [MODEL])


def openai_wrong():
    for key in WRONG_KEYS:
        for call in (chat, lambda client: chat(client, stream=True), lambda client: client.models.list()):
            with raises(openai.AuthenticationError) as caught:
                call(openai_client(key))
            error = caught.error
            same((error.status_code, error.code, error.type), (401, "invalid_api_key", "invalid_request_error"))
            assert ("expired" if key == EXPIRED_KEY else "not known") in error.message, error.message
            assert key not in error.message
            same(tries(error), 1)


def anthropic_wrong():
    for key in WRONG_KEYS:
        for call in (message, lambda client: message(client, stream=True), lambda client: client.models.list()):
            with raises(anthropic.AuthenticationError) as caught:
                call(anthropic_client(key))
            error = caught.error
            same((error.status_code, error.body["error"]["type"]), (401, "authentication_error"))
            assert key not in str(error.body)
            same(tries(error), 1)


def openai_forbidden():
    with raises(openai.PermissionDeniedError) as caught:
        chat(openai_client(KEY), model=FORBIDDEN_MODEL)
    error = caught.error
    same((error.status_code, error.code, error.type), (403, "route_forbidden", "permission_error"))
    same((error.param, tries(error)), ("model", 1))
    assert FORBIDDEN_MODEL in error.message, error.message


def anthropic_forbidden():
    with raises(anthropic.PermissionDeniedError) as caught:
        message(anthropic_client(KEY), model=FORBIDDEN_MODEL)
    same((caught.error.status_code, caught.error.body["error"]["type"]), (403, "permission_error"))
    same(tries(caught.error), 1)


def unknown_model_names_what_may_be_used():
    with raises(openai.NotFoundError) as caught:
        chat(openai_client(KEY), model="no-such-model")
    assert MODEL in caught.error.message and FORBIDDEN_MODEL not in caught.error.message, caught.error.message


run(
    openai_good, anthropic_good, openai_wrong, anthropic_wrong, openai_forbidden, anthropic_forbidden,
    unknown_model_names_what_may_be_used,
)
