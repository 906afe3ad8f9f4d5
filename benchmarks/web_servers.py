"""ASGI servers side by side (docs/decisions/0001-web-server.md), all with the same plain app.

    python -m benchmarks.web_servers [--rounds 5] uvicorn granian hypercorn daphne

Needs an environment in which those are installed.
"""

import argparse
import asyncio
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
from starlette.types import Receive, Scope, Send

from benchmarks.fake_upstream import CHUNKS, FIRST_TOKEN
from benchmarks.processes import Process
from benchmarks.stream_loads import Kind, run_load
from benchmarks.target_servers import HOST, Target, free_port

CONNECTIONS = 16
SECONDS = 2.0
_TEXTS = [FIRST_TOKEN, *(f" word{number:02}" for number in range(1, CHUNKS))]
_EVENTS = [
    b"data: %b\n\n"
    % msgspec.json.encode(
        {
            "id": "chatcmpl-fake",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": "fake",
            "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}],
        }
    )
    for text in _TEXTS
]
_ANSWER = msgspec.json.encode({"object": "chat.completion", "content": "".join(_TEXTS)})
_MODULE = "benchmarks.web_servers:app"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a stream of `CHUNKS` events, each sent on its own, or with one small JSON document."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if msgspec.json.decode(body)["stream"]:
        await send(_start(b"text/event-stream"))
        for event in _EVENTS:
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
    else:
        await send(_start(b"application/json", (b"content-length", b"%d" % len(_ANSWER))))
        await send({"type": "http.response.body", "body": _ANSWER})


def _start(content_type: bytes, *more: tuple[bytes, bytes]) -> dict[str, object]:
    headers = [(b"content-type", content_type), *more]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _command(server: str, port: int) -> list[str]:
    at = ["--host", HOST, "--port", str(port)]
    arguments = {
        "uvicorn": [*at, "--loop", "uvloop", "--http", "httptools", "--no-access-log"],
        "uvicorn-h11": [*at, "--loop", "uvloop", "--http", "h11", "--no-access-log"],
        "granian": [*at, "--interface", "asgi", "--loop", "uvloop", "--workers", "1"],
        "hypercorn": ["--bind", f"{HOST}:{port}", "--worker-class", "uvloop"],
        "daphne": ["--bind", HOST, "--port", str(port), "--verbosity", "0"],
    }[server]
    return [sys.executable, "-m", server.partition("-")[0], _MODULE, *arguments]


SERVERS = ("uvicorn", "uvicorn-h11", "granian", "hypercorn", "daphne")


def _start_server(server: str, folder: Path) -> Target:
    port = free_port()
    process = Process(server, _command(server, port), folder)

    def listening() -> bool | None:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0 or None

    process.wait_for(listening)
    return Target(server, process, port)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web_servers", description=__doc__)
    parser.add_argument("servers", nargs="+", choices=SERVERS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    kinds: tuple[Kind, ...] = ("streams", "plain")
    seen: dict[tuple[str, Kind], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = []
        for server in arguments.servers:
            target = _start_server(server, folder)
            stack.callback(target.process.stop)
            targets.append(target)
        time.sleep(1)
        idle = {target.name: target.process.footprint() for target in targets}
        for _ in range(arguments.rounds):
            for target in targets:
                for kind in kinds:
                    sample = run_load(target, kind, CONNECTIONS, SECONDS)
                    seen.setdefault((target.name, kind), []).append((sample.calls, sample.cpu))
    for (server, kind), results in seen.items():
        rates = [rate for rate, _ in results]
        cpu = statistics.median(milliseconds for _, milliseconds in results)
        spread = f"[{min(rates):,.0f}–{max(rates):,.0f}]"
        print(
            f"{server:12} {kind:8} {statistics.median(rates):8,.0f}/s {spread:18} {cpu:7.3f} ms CPU each, "
            f"idle {idle[server].megabytes:.0f} MB in {idle[server].threads} threads"
        )


if __name__ == "__main__":
    main()
