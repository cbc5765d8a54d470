"""A model server for what modelsim does not answer: OpenAI's completions, embeddings and responses.

Answers are fixed, in the real API's shapes. A prompt or an input of `cut` breaks a stream off in the middle.
"""

import array
import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ["Dear", " Zoë", ",", " thank", " you", "."]
TEXT = "".join(WORDS)
VECTOR = [0.25, -0.5, 1.0]
USAGE = {"input_tokens": 7, "output_tokens": len(WORDS), "total_tokens": 7 + len(WORDS)}


def completion(model, text, reason):
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": model, "choices": [choice]}


def completions(ask):
    """The whole answer, and the events of a streamed one."""
    usage = {"prompt_tokens": 7, "completion_tokens": len(WORDS), "total_tokens": 7 + len(WORDS)}
    whole = completion(ask["model"], TEXT, "stop") | {"usage": usage}
    events = [completion(ask["model"], word, None) for word in WORDS]
    return whole, [*events, completion(ask["model"], "", "stop")]


def embeddings(ask):
    packed = base64.b64encode(array.array("f", VECTOR).tobytes()).decode()
    vector = packed if ask.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(ask["input"]))]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "model": ask["model"], "data": data, "usage": usage}, []


def responses(ask):
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": ask["model"], "status": "completed"}
    whole |= {"output": [item], "usage": USAGE, "error": None, "tools": [], "tool_choice": "auto"}
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    open_item = item | {"status": "in_progress", "content": []}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": open_item},
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.output_text.done", **place, "text": TEXT, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return whole, [event | {"sequence_number": number} for number, event in enumerate(events)]


ANSWERS = {"/v1/completions": completions, "/v1/embeddings": embeddings, "/v1/responses": responses}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers["content-length"])))
        whole, events = ANSWERS[self.path](ask)
        if ask.get("stream"):
            self.stream(events, cut="cut" in (ask.get("prompt"), ask.get("input")))
        else:
            body = json.dumps(whole).encode()
            self.head("application/json", ("content-length", str(len(body))))
            self.wfile.write(body)

    def stream(self, events, cut):
        self.head("text/event-stream", ("transfer-encoding", "chunked"))
        for event in events[:5] if cut else events:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            self.chunk(f"{kind}data: {json.dumps(event)}\n\n")
        if cut:
            self.close_connection = True
            return
        # Only the older API ends with a word of its own.
        if self.path == "/v1/completions":
            self.chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def head(self, kind, framing):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header(*framing)
        self.end_headers()

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"openai_upstream ready: http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
