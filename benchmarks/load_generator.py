"""Load on one address from a separate process, as cheap as Python can make it.

    python -m benchmarks.load_generator streams  HOST PORT …   calls one after the other on each connection,
    python -m benchmarks.load_generator plain    HOST PORT …   for some seconds, then a JSON report
    python -m benchmarks.load_generator hold     HOST PORT …   opens a slow stream on each connection, prints
                                                     the report once all have begun, then holds
                                                     them open until standard input ends

Responses are searched for what is counted, not parsed.
"""

import argparse
import asyncio
import re
import sys
import time
from typing import cast

import msgspec
import uvloop

from benchmarks.fake_upstream import FIRST_TOKEN, SLOW_MODEL

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_FIRST_TOKEN = FIRST_TOKEN.encode()
_DONE = b"data: [DONE]"
_LAST_HTTP_CHUNK = b"\r\n0\r\n\r\n"
_NUMBER = b"##########"
_OPENING_TIMEOUT = 60.0


class Report(msgspec.Struct):
    """What one run saw. Times are in seconds; `first_chunk` is sorted, with one entry per stream."""

    seconds: float
    calls: int
    events: int
    failures: int
    first_failure: str
    first_chunk: list[float]


class RequestTemplate(msgspec.Struct, frozen=True):
    """Where to send requests. Ten number signs in their body are replaced by the call's number."""

    host: str
    port: int
    path: str
    headers: tuple[str, ...] = ()
    model: str = "bench"

    def request(self, stream: bool, model: str) -> tuple[bytes, bytes]:
        """The request before and after the ten digits that make each call's message unique."""
        body = msgspec.json.encode(
            {
                "model": model,
                "stream": stream,
                "messages": [
                    {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
                    {"role": "user", "content": f"Question {_NUMBER.decode()}: why is the sky blue?"},
                ],
            }
        )
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Accept: application/json",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *self.headers,
        ]
        before, after = body.split(_NUMBER)
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + before, after


class Caller(asyncio.Protocol):
    """A connection that sends a call, watches its answer go by, and sends the next."""

    _transport: asyncio.Transport

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._sent_at = 0.0
        self._head = b""
        self._expected: int | None = None
        self._tail = b""
        self._started = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._call()

    def _call(self) -> None:
        self._head = b""
        self._expected = None
        self._tail = b""
        self._started = False
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        if self._head:
            self._body_received(data)
            return
        self._tail += data
        end = self._tail.find(b"\r\n\r\n")
        if end < 0:
            return
        self._head, rest, self._tail = self._tail[:end], self._tail[end + 2 :], b""
        if self._head[9:12] != b"200":
            self._fail((self._head + rest)[:2000].decode(errors="replace"))
            return
        length = _CONTENT_LENGTH.search(self._head)
        self._expected = int(length[1]) + 2 if length else None
        self._body_received(rest)

    def _body_received(self, data: bytes) -> None:
        if self._expected is not None:
            self._expected -= len(data)
            if self._expected <= 0:
                self._finish()
            return
        seen = self._tail + data
        self._run.report.events += seen.count(b"data: ") - self._tail.count(b"data: ")
        if not self._started and _FIRST_TOKEN in seen:
            self._started = True
            self._run.first_chunk_seen(time.perf_counter() - self._sent_at)
        self._tail = seen[-len(_DONE) - len(_LAST_HTTP_CHUNK) - 8 :]
        if seen.endswith(_LAST_HTTP_CHUNK):
            self._run.report.events -= 1
            if self._started and _DONE in self._tail:
                self._finish()
            else:
                self._fail("a stream ended without its end: …" + repr(seen[-300:]))

    def _finish(self) -> None:
        self._run.report.calls += 1
        if self._run.over():
            self._transport.close()
        else:
            self._call()

    def _fail(self, what: str) -> None:
        self._run.fail(what)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.connection_lost(self)


class Run:
    """The connections of one load and what they counted."""

    def __init__(self, target: RequestTemplate, kind: str, connections: int, seconds: float) -> None:
        self._target = target
        self._request = target.request(kind != "plain", SLOW_MODEL if kind == "hold" else target.model)
        self._connections = connections
        self._seconds = seconds
        self._holding = kind == "hold"
        self._number = time.time_ns() % 1_000_000 * 1000
        self._open: set[Caller] = set()
        self._ended = asyncio.Event()
        self.report = Report(0, 0, 0, 0, "", [])
        self._until = 0.0

    def next_request(self) -> bytes:
        self._number += 1
        before, after = self._request
        return b"%b%010d%b" % (before, self._number, after)

    def over(self) -> bool:
        return time.perf_counter() >= self._until

    def first_chunk_seen(self, after: float) -> None:
        self.report.first_chunk.append(after)
        if self._holding and len(self.report.first_chunk) == self._connections:
            self._ended.set()

    def fail(self, what: str) -> None:
        self.report.failures += 1
        self.report.first_failure = self.report.first_failure or what
        if self._holding:
            self._ended.set()

    def connection_lost(self, caller: Caller) -> None:
        if not (self.over() or self.report.failures):
            self.fail("the server closed a connection")
        self._open.discard(caller)
        if not self._open:
            self._ended.set()

    async def go(self) -> Report:
        began = time.perf_counter()
        self._until = began + self._seconds
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            await loop.create_connection(self._caller, self._target.host, self._target.port)
        async with asyncio.timeout(self._seconds + _OPENING_TIMEOUT):
            await self._ended.wait()
        self.report.seconds = time.perf_counter() - began
        self.report.first_chunk.sort()
        return self.report

    def _caller(self) -> Caller:
        caller = Caller(self)
        self._open.add(caller)
        return caller


async def _main(arguments: argparse.Namespace) -> None:
    target = RequestTemplate(
        arguments.host, arguments.port, arguments.path, tuple(arguments.header), arguments.model
    )
    run = Run(target, arguments.kind, arguments.connections, arguments.seconds)
    report = await run.go()
    print(msgspec.json.encode(report).decode(), flush=True)
    if arguments.kind == "hold":
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_generator", description=__doc__)
    parser.add_argument("kind", choices=("streams", "plain", "hold"))
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--model", default="bench")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(_main(_arguments()))
