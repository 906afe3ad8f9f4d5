"""A small upstream on loopback that does exactly what a test scripts, good or bad.

    upstream.will(stream(say("Hello"), end()))     one answer, for this and all later requests
    upstream.will(status(503), stream(...))        one answer per request, in this order

An answer's `writes` are bytes (each its own write), pauses in seconds, events to wait for, or one
of `HANG` (send nothing more until the client leaves), `ABORT` (reset the connection) and `CLOSE`.
"""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from enum import Enum
from ssl import SSLContext
from types import TracebackType
from typing import Any


class Misbehavior(Enum):
    HANG = "hang"
    ABORT = "abort"
    CLOSE = "close"


HANG, ABORT, CLOSE = Misbehavior.HANG, Misbehavior.ABORT, Misbehavior.CLOSE
Write = bytes | float | asyncio.Event | Misbehavior
JSON = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: JSON
    connection: int
    target: str
    """The path, with what follows it."""


class FakeUpstream:
    """A server that listens within its `async with` block; `requests` are those that it received.

    `completed` counts the answers that it sent to their end.
    """

    def __init__(self, tls: SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Received] = []
        self.connections = 0
        self.completed = 0
        self.client_gone = asyncio.Event()
        self.client_gone_at = 0.0
        self.hanging = asyncio.Event()
        self._answers: list[Answer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "FakeUpstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop_listening(self) -> None:
        """Refuse new connections."""
        self._server.close()

    def will(self, *answers: Answer) -> None:
        self._answers = list(answers)

    @property
    def body(self) -> JSON:
        """The body of the last request."""
        return self.requests[-1].body

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        connection = self.connections
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer, connection):
                pass
        writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append(Received(headers, body, connection, head[0].split()[1]))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return await self._play(answer, reader, writer)

    async def _play(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if ABORT in answer.writes[:1]:
            writer.transport.abort()
            return False
        if HANG not in answer.writes[:1]:
            headers = {"Transfer-Encoding": "chunked", "Content-Type": "text/event-stream", **answer.headers}
            lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        for write in answer.writes:
            if isinstance(write, bytes):
                writer.write(b"%x\r\n%b\r\n" % (len(write), write))
                await writer.drain()
            elif isinstance(write, float):
                await asyncio.sleep(write)
            elif isinstance(write, asyncio.Event):
                await write.wait()
            else:
                await self._misbehave(write, reader, writer)
                return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.completed += 1
        return True

    async def _misbehave(
        self, what: Misbehavior, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if what is HANG:
            self.hanging.set()
            with contextlib.suppress(ConnectionError):
                await reader.read()
            self.client_gone_at = time.monotonic()
            self.client_gone.set()
        elif what is ABORT:
            writer.transport.abort()


# --- answers ------------------------------------------------------------------------------------


def raw(*writes: Write, status: int = 200, content_type: str = "text/event-stream") -> Answer:
    return Answer(status, {"Content-Type": content_type}, writes)


def stream(*chunks: JSON, done: bool = True) -> Answer:
    """The chunks as an event stream, each its own write."""
    writes = [frame(chunk) for chunk in chunks]
    return raw(*writes, *([b"data: [DONE]\n\n"] if done else []))


def whole(message: JSON, finish_reason: str = "stop", **more: Any) -> Answer:
    """An answer that is not streamed."""
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}], **more}
    return raw(json.dumps(body).encode(), content_type="application/json")


def status(status: int, error: Any = None, **headers: str) -> Answer:
    body = json.dumps({"error": error or {"message": f"status {status}"}}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json", **names}, (body,))


def frame(chunk: JSON) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(index: int = 0, **fields: Any) -> JSON:
    return {"choices": [{"index": index, "delta": fields}]}


def say(text: str, index: int = 0) -> JSON:
    return delta(index, content=text)


def call(
    index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None
) -> JSON:
    """One fragment of a tool call, with the keys that are given."""
    function = {"name": name, "arguments": arguments}
    fragment: JSON = {"index": index, "id": id}
    fragment = {key: value for key, value in fragment.items() if value is not None}
    return {**fragment, "function": {key: value for key, value in function.items() if value is not None}}


def end(reason: str = "stop", index: int = 0, **more: Any) -> JSON:
    return {"choices": [{"index": index, "delta": {}, "finish_reason": reason}], **more}
