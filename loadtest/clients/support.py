"""What the scripts share: where Weir is, how faults are asked for, and how a script runs its checks.

The environment says where to go (run.sh sets it):
  WEIR_URL    the data port, without a path
  MODEL       a model name that Weir has a route for
  ASSEMBLED_MODEL  one whose whole answers come as streams and are put together, if there is such a route
  DEAD_MODEL  one whose upstream does not listen, if there is such a route
  SIM_URL     the simulated model server itself, if it can be asked
"""

import asyncio
import inspect
import json
import os
import sys
import traceback
import urllib.error
import urllib.request

URL = os.environ["WEIR_URL"]
MODEL = os.environ["MODEL"]
ASSEMBLED_MODEL = os.environ.get("ASSEMBLED_MODEL")
DEAD_MODEL = os.environ.get("DEAD_MODEL")
SIM_URL = os.environ.get("SIM_URL")

PROMPT = "Write to Zoë: \"thank you\", and ask for the 3/14 invoice."
UNKNOWN_MODEL = "no-such-model"
# One MiB more than Weir takes by default.
BIG_TEXT = "x" * (33 * 1024 * 1024)
PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 2},
        "units": {"enum": ["metric", "imperial"]},
    },
    "required": ["city", "days", "units"],
}


def fault(text):
    """Asks the simulated model server to misbehave; Weir passes the header on."""
    return {"x-sim-fault": text}


def dead_ends():
    """(model, headers) of calls that no upstream answers."""
    ends = [(MODEL, fault("refuse"))]
    if DEAD_MODEL:
        ends.append((DEAD_MODEL, {}))
    return ends


class raises:
    """Passes if its block raises this kind of error, which is then in `.error`."""

    def __init__(self, kind):
        self.kind = kind
        self.error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"nothing was raised where {self.kind.__name__} is due"
        self.error = error
        return isinstance(error, self.kind)


def post(path, body, headers=None):
    """Posts bytes that no SDK would send: (status, headers, parsed body)."""
    request = urllib.request.Request(URL + path, data=body, method="POST")
    request.add_header("content-type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, json.load(answer)


def same(actual, expected):
    assert actual == expected, f"{actual!r} where {expected!r} is due"


def check_weir_headers(headers):
    """What every answer that came from an upstream carries."""
    assert headers.get("x-request-id"), "no x-request-id"
    assert int(headers["x-weir-attempts"]) >= 1, headers["x-weir-attempts"]
    assert headers.get("x-weir-target"), "no x-weir-target"
    assert "weir;dur=" in headers["server-timing"], headers["server-timing"]


def check_retry_after(headers):
    """What every 429, 503 and 529 carries, also one whose upstream named no time."""
    assert 1 <= int(headers["retry-after"]) <= 30, headers["retry-after"]
    assert int(headers["retry-after-ms"]) > 0, headers["retry-after-ms"]


def check_arguments(arguments):
    """The tool's arguments fit PARAMETERS, so the schema went through whole."""
    same(set(arguments), {"city", "days", "units"})
    same((arguments["days"], arguments["units"]), (2, "metric"))
    assert isinstance(arguments["city"], str)


def run(*checks):
    """Runs plain and async checks in turn; says `ok` in one line, or what failed, and exits with 1."""
    script = os.path.splitext(os.path.basename(sys.argv[0]))[0]

    async def all_checks():
        for check in checks:
            try:
                result = check()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                traceback.print_exc()
                print(f"FAILED {script}: {check.__name__}", flush=True)
                return 1
        return 0

    if asyncio.run(all_checks()):
        sys.exit(1)
    print(f"ok {script}: {len(checks)} checks", flush=True)
