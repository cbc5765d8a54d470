"""LangServe's client, unmodified, through a passthrough prefix: invoke, batch, streams, errors, leaving.

DEAD_PREFIX, if it is set, is a prefix whose upstream does not listen.
"""

import asyncio
import json
import os
import urllib.error
import urllib.request

import httpx
from langserve import RemoteRunnable

from support import URL, raises, run, same

WORDS = ["Dear", " Zoë", ",", " thank", " you", "."]
LETTER = "".join(WORDS)
DEAD_PREFIX = os.environ.get("DEAD_PREFIX")

chain = RemoteRunnable(f"{URL}/chain", timeout=30)


def ask(method, path, body=None):
    """What the client has no call for: (status, headers, text)."""
    request = urllib.request.Request(URL + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, answer.read().decode()


def broken(name):
    return RemoteRunnable(f"{URL}/chain/{name}", timeout=30)


def invoke():
    same(chain.invoke("a letter"), LETTER)


async def ainvoke():
    same(await chain.ainvoke("a letter"), LETTER)


def batch():
    same(chain.batch(["a letter"] * 5), [LETTER] * 5)


async def abatch():
    same(await chain.abatch(["a letter"] * 5), [LETTER] * 5)


def stream():
    same(list(chain.stream("a letter")), WORDS)


async def astream():
    same([piece async for piece in chain.astream("a letter")], WORDS)


async def astream_events():
    events = [event async for event in chain.astream_events("a letter", version="v2")]
    pieces = [event["data"]["chunk"] for event in events if event["event"] == "on_chain_stream"]
    assert "".join(pieces).startswith(LETTER), pieces
    same((events[0]["event"], events[-1]["event"]), ("on_chain_start", "on_chain_end"))


def pieces_come_as_they_are_made():
    """The second half is not made before the first was read."""
    pieces = []
    for piece in chain.stream("wait"):
        pieces.append(piece)
        if len(pieces) == 3:
            same(ask("POST", "/chain/more", b"")[0], 200)
    same(pieces, WORDS)


async def many_streams():
    await asyncio.gather(*(astream() for _ in range(30)))


def upstream_error():
    with raises(httpx.HTTPStatusError) as caught:
        broken("broken").invoke("a letter")
    same(caught.error.response.status_code, 500)
    with raises(httpx.HTTPStatusError) as caught:
        list(broken("broken").stream("a letter"))
    same(caught.error.response.status_code, 500)


def late_upstream_error():
    pieces = []
    with raises(httpx.HTTPStatusError):
        for piece in broken("late").stream("a letter"):
            pieces.append(piece)
    same(pieces, WORDS[:3])


def mid_stream_cut():
    """The upstream's connection breaks: LangServe's own error event says so, nothing that came before is lost."""
    pieces = []
    with raises(httpx.HTTPStatusError) as caught:
        for piece in broken("cut").stream("a letter"):
            pieces.append(piece)
    same((pieces, caught.error.response.status_code), (WORDS[:3], 502))


def wrong_input():
    status, _, text = ask("POST", "/chain/invoke", b'{"input": 7}')
    same(status, 422)
    assert json.loads(text)["detail"], text


def methods_queries_and_bodies_go_on_unchanged():
    query = "a=1&b=%2F%20%C3%AB&a=2"
    for method, body in [("GET", None), ("POST", "Zoë"), ("PUT", "{"), ("PATCH", '{"model": 1}'), ("DELETE", None)]:
        status, _, text = ask(method, f"/chain/echo?{query}", body and body.encode())
        same((status, json.loads(text)), (200, {"method": method, "query": query, "body": body or ""}))
    same(ask("GET", "/chain/no-such-path")[::2], (404, '{"detail":"Not Found"}'))


async def leaving():
    before = int(ask("GET", "/chain/left")[2])
    stream = chain.astream("endless")
    for _ in range(8):
        await anext(stream)
    await stream.aclose()
    for _ in range(500):
        if int(ask("GET", "/chain/left")[2]) > before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the chain still runs for nobody")


def no_upstream():
    nowhere = RemoteRunnable(f"{URL}{DEAD_PREFIX}", timeout=30)
    for call in (lambda: nowhere.invoke("a letter"), lambda: list(nowhere.stream("a letter"))):
        with raises(httpx.HTTPStatusError) as caught:
            call()
        same(caught.error.response.status_code, 502)
    status, headers, text = ask("GET", f"{DEAD_PREFIX}/docs")
    same(status, 502)
    assert json.loads(text)["detail"] and headers["x-request-id"], text


run(
    invoke, ainvoke, batch, abatch, stream, astream, astream_events, pieces_come_as_they_are_made, many_streams,
    upstream_error, late_upstream_error, mid_stream_cut, wrong_input, methods_queries_and_bodies_go_on_unchanged,
    leaving, *([no_upstream] if DEAD_PREFIX else []),
)
