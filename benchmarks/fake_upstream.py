"""An OpenAI-compatible server that costs next to nothing: the upstream of every benchmark.

`POST …/chat/completions` answers with a stream of `CHUNKS` chunks, each written on its own and in
turn with the other streams, or with one JSON document. The request is searched, not parsed. A
request for the model `SLOW_MODEL` gets its first two chunks at once and then one per second.

    python -m benchmarks.fake_upstream      prints its port, serves until SIGTERM
"""

import asyncio
import re
import signal
from typing import cast

import msgspec
import uvloop

CHUNKS = 100
FIRST_TOKEN = "alpha"
SLOW_MODEL = "slow"
SLOW_INTERVAL = 1.0

_STREAM = re.compile(rb'"stream":\s*true')
_WITH_USAGE = re.compile(rb'"include_usage":\s*true')
_SLOW = re.compile(rb'"model":\s*"%b"' % SLOW_MODEL.encode())
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

_IDENTITY = {"id": "chatcmpl-fake", "created": 1_760_000_000, "model": "fake"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": CHUNKS - 2, "total_tokens": CHUNKS + 10}
_TEXTS = [FIRST_TOKEN, *(f" word{number:02}" for number in range(1, CHUNKS - 2))]


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(document: dict[str, object]) -> bytes:
    return _http_chunk(b"data: %b\n\n" % msgspec.json.encode(document))


def _chunk(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event({**_IDENTITY, "object": "chat.completion.chunk", "choices": [choice]})


def _whole_answer() -> bytes:
    message = {"role": "assistant", "content": "".join(_TEXTS), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = msgspec.json.encode(
        {**_IDENTITY, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNKS = [
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    *(_chunk({"content": text}) for text in _TEXTS),
    _chunk({}, "stop"),
]
_END = _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_STREAM_WRITES = (_HEAD + _CHUNKS[0], *_CHUNKS[1:], _END)
_USAGE_CHUNK = _event({**_IDENTITY, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
_STREAM_WRITES_WITH_USAGE = (*_STREAM_WRITES[:-1], _USAGE_CHUNK, _END)
_PLAIN = _whole_answer()


class StreamScheduler:
    """A scheduler that gives each stream one write per turn of the event loop, as separate models would."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams: set[Connection] = set()
        self._scheduled = False

    def join(self, stream: "Connection") -> None:
        self._streams.add(stream)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def leave(self, stream: "Connection") -> None:
        self._streams.discard(stream)

    def _turn(self) -> None:
        for stream in list(self._streams):
            stream.write_next()
        self._scheduled = bool(self._streams)
        if self._scheduled:
            self._loop.call_soon(self._turn)


class Connection(asyncio.Protocol):
    """One client, one request at a time."""

    _transport: asyncio.Transport

    def __init__(self, turns: StreamScheduler) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._writes: tuple[bytes, ...] = ()
        self._written = 0
        self._slow = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _CONTENT_LENGTH.search(self._received, 0, head_end)
        if len(self._received) >= head_end + 4 + (int(length[1]) if length else 0):
            request, self._received = self._received, b""
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if not _STREAM.search(request):
            self._transport.write(_PLAIN)
            return
        self._writes = _STREAM_WRITES_WITH_USAGE if _WITH_USAGE.search(request) else _STREAM_WRITES
        self._written = 0
        self._slow = bool(_SLOW.search(request))
        self._turns.join(self)

    def write_next(self) -> None:
        self._transport.write(self._writes[self._written])
        self._written += 1
        if self._written == len(self._writes):
            self._turns.leave(self)
        elif self._slow and self._written >= 2:
            self._turns.leave(self)
            self._timer = self._loop.call_later(SLOW_INTERVAL, self._turns.join, self)

    def pause_writing(self) -> None:
        self._turns.leave(self)

    def resume_writing(self) -> None:
        if self._written < len(self._writes):
            self._turns.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._turns.leave(self)
        if self._timer:
            self._timer.cancel()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    turns = StreamScheduler()
    server = await loop.create_server(lambda: Connection(turns), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
