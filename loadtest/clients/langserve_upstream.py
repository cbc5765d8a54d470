"""A LangServe application as people run it: what stands behind a passthrough prefix.

  /chain           streams a letter word by word; the input `wait` holds the rest back until POST /chain/more, and
                   `endless` never ends; GET /chain/left counts the callers who left that
  /chain/broken    raises at once, /chain/late after three words, /chain/cut breaks the connection in mid-stream
  /chain/echo      says what it was asked: method, query, body
"""

import asyncio

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from langchain_core.runnables import RunnableGenerator
from langserve import add_routes

WORDS = ["Dear", " Zoë", ",", " thank", " you", "."]
GAP_SECONDS = 0.02
app = FastAPI()
more = asyncio.Event()
left = 0


async def one(inputs):
    """The whole input; it has one piece."""
    return "".join([piece async for piece in inputs])


async def letter(inputs):
    global left
    wish = await one(inputs)
    try:
        for number, word in enumerate(WORDS):
            if wish == "wait" and number == 3:
                await asyncio.wait_for(more.wait(), 3)
                more.clear()
            yield word
            await asyncio.sleep(GAP_SECONDS)
        while wish == "endless":
            yield "!"
            await asyncio.sleep(GAP_SECONDS)
    except (asyncio.CancelledError, GeneratorExit):
        left += 1
        raise


async def broken(inputs):
    await one(inputs)
    raise RuntimeError("a chain that cannot work")
    yield


async def late(inputs):
    await one(inputs)
    for word in WORDS[:3]:
        yield word
    raise RuntimeError("a chain that stops working")


def serve(steps, path):
    add_routes(app, RunnableGenerator(steps).with_types(input_type=str, output_type=str), path=path)


@app.post("/chain/more")
async def release():
    more.set()


@app.get("/chain/left")
async def count_left():
    return left


@app.api_route("/chain/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def echo(request: Request):
    body = (await request.body()).decode()
    return {"method": request.method, "query": request.url.query, "body": body}


@app.post("/chain/cut/stream")
async def cut():
    async def events():
        for word in WORDS[:3]:
            yield f'event: data\r\ndata: "{word}"\r\n\r\n'
        raise RuntimeError("the connection breaks here")

    return StreamingResponse(events(), media_type="text/event-stream")


serve(broken, "/chain/broken")
serve(late, "/chain/late")
serve(letter, "/chain")


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"langserve_upstream ready: http://127.0.0.1:{port}", flush=True)


Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")).run()
