"""One response of an upstream: read as events, within its timeouts, and closed."""

import asyncio
import math
from functools import partial

import aiohttp

from core.value import Value
from engines.base import EngineError
from engines.events import Event, Usage
from engines.openai_compatible.chunk_reader import ChunkReader
from engines.openai_compatible.errors import TimedOut, Unreachable, find_fault_in_body
from engines.openai_compatible.sse_lines import LINE_LIMIT, LineSplitter

ERROR_BODY_LIMIT = 2**20
ERROR_BODY_TIMEOUT = 5.0
PIECE = 2**16
"""Bytes processed at once; between two pieces the loop may do something else."""
LINE_COST = 64
"""Bytes that each line counts for in addition to its own: many short lines are work, too."""


class ResponseLimits(Value, frozen=True, kw_only=True):
    """Limits on one response, in bytes where nothing else is said."""

    line: int = LINE_LIMIT
    """Of a line, and of an answer that is not streamed."""
    eventless: int = 64 * 2**20
    """What may come in a row without producing an event.

    A ping per second for days stays below, and so does an empty chunk for each of a hundred thousand hidden
    tokens.
    """
    large: int = 2**19
    """Anything larger is sound or pictures, and is decoded in a thread, off the loop."""
    elements: int = 2**21
    """Commas in one large piece of JSON: sound or text has few, a JSON bomb has many."""
    linger_seconds: float = 1.0
    """The time an upstream has to end its response after `[DONE]` for its connection to be reused."""


DEFAULT_LIMITS = ResponseLimits()


class Watchdog:
    """A timer that closes a response that stays silent past a deadline.

    A timeout context around each read would cost more than the read; this is one timer per response.
    """

    def __init__(self, response: aiohttp.ClientResponse, tick: float) -> None:
        self._response = response
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(tick, self._check)
        self._is_late = False
        self.deadline = math.inf
        """In the loop's time; infinite while nobody waits: a slow reader is not the upstream's fault."""
        self.has_closed = False

    def wait_for(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds

    def _check(self) -> None:
        was_late, self._is_late = self._is_late, self._loop.time() >= self.deadline
        if was_late and self._is_late:
            self.has_closed = True
            self._response.close()
        else:
            # if the loop itself was held up, bytes may be waiting: check again before closing
            self._timer = self._loop.call_later(0 if self._is_late else self._tick, self._check)

    def stop(self) -> None:
        self._timer.cancel()


class UpstreamResponse:
    """The events of one response, read as they arrive.

    `choices` is how many were requested; `first_deadline`, in the loop's time, ends the wait for the first
    event; `streamed` says that a stream was requested. `lingering` holds responses that are complete except
    for their end.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        choices: int,
        streamed: bool,
        first_deadline: float,
        idle_timeout: float,
        lingering: set[aiohttp.ClientResponse],
        context_length: int | None = None,
        limits: ResponseLimits = DEFAULT_LIMITS,
    ) -> None:
        self._response = response
        self._limits = limits
        self._lingering = lingering
        self._content = response.content
        self._is_whole = _is_whole(response.content_type, streamed)
        self._first_deadline: float | None = first_deadline
        self._idle_timeout = idle_timeout
        self._watchdog = Watchdog(response, min(1.0, idle_timeout / 4))
        self._lines = LineSplitter(limits.line)
        self._reader = ChunkReader(choices, context_length=context_length)
        self._failure: EngineError | None = None
        self._is_over = False
        self._rest: memoryview | None = None
        """What was received but not yet processed."""
        self._eventless_bytes = 0

    async def read(self) -> list[Event]:
        """Return the events of one or more chunks; none at the end."""
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        try:
            while not events and not self._is_over:
                await self._read_more(events)
        except EngineError as error:
            if not events:
                raise
            # what came before the failure is part of the answer and goes out first
            self._failure = error
        if events:
            self._first_deadline = None
        return events

    def take_usage(self) -> Usage | None:
        """Return what the upstream has counted so far, unless it was an event or is taken already."""
        return self._reader.take_usage()

    def close(self) -> None:
        """Let go of the upstream at once; after a whole answer, its connection is kept."""
        self._watchdog.stop()
        if self._is_over and self._reader.is_done and not self._content.is_eof():
            self._lingering.add(self._response)
            timer = asyncio.get_running_loop().call_later(self._limits.linger_seconds, self._end_lingering)
            self._content.on_eof(timer.cancel)
            self._content.on_eof(partial(self._lingering.discard, self._response))
        else:
            self._response.close()

    def _end_lingering(self) -> None:
        self._lingering.discard(self._response)
        self._response.close()

    async def _read_more(self, events: list[Event]) -> None:
        try:
            data = await (self._receive_whole() if self._is_whole else self._receive())
        except Unreachable:
            if not self._reader.has_ended:
                raise
            self._finish(events)
            return
        if self._is_whole:
            await self._read_whole(data, events)
        else:
            await self._read_lines(data, events)

    async def _read_lines(self, data: bytes, events: list[Event]) -> None:
        reader = self._reader
        for payload in self._lines.feed(data) if data else self._lines.end():
            if len(payload) > self._limits.large:
                await self._read_large(payload, events)
            else:
                reader.read(payload, events)
            if reader.is_done:
                break
        if events:
            self._eventless_bytes = 0
        else:
            self._count_eventless(data)
        if reader.is_done or not data:
            if self._lines.stray and not reader.has_begun:
                await self._read_whole(bytes(self._lines.stray), events)
            else:
                self._finish(events)

    def _count_eventless(self, data: bytes) -> None:
        self._eventless_bytes += len(data) + LINE_COST * data.count(b"\n")
        # a long line that is still arriving has a limit of its own
        if self._eventless_bytes - self._lines.held_size > self._limits.eventless:
            raise EngineError("The upstream sent too much that is no part of an answer.")

    async def _read_large(self, payload: bytes, events: list[Event]) -> None:
        # decoding holds the interpreter's lock, so a thread alone does not keep the loop free
        if payload.count(b",") > self._limits.elements:
            raise EngineError("The upstream sent more in one piece than is part of any answer.")
        await asyncio.to_thread(self._reader.read, payload, events)

    async def _read_whole(self, body: bytes, events: list[Event]) -> None:
        if b'"choices"' not in body and (len(body) > ERROR_BODY_LIMIT or find_fault_in_body(body) is None):
            raise EngineError("The upstream answered with something that is no chat completion.")
        if len(body) > self._limits.large:
            await self._read_large(body, events)
        else:
            self._reader.read(body, events)
        self._finish(events)

    def _finish(self, events: list[Event]) -> None:
        self._is_over = True
        events.extend(self._reader.finish())

    async def _receive_whole(self) -> bytes:
        body = bytearray()
        while data := await self._receive():
            body += data
            if len(body) > self._limits.line:
                raise EngineError(f"The upstream sent an answer of more than {self._limits.line} bytes.")
        return bytes(body)

    async def _receive(self) -> bytes:
        """Return the next bytes; none at the end."""
        if self._rest is not None:
            await asyncio.sleep(0)
            return self._next_piece(self._rest)
        if self._first_deadline is None:
            self._watchdog.wait_for(self._idle_timeout)
        else:
            self._watchdog.deadline = self._first_deadline
        try:
            data = await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            data = self._read_remaining(error)
        finally:
            self._watchdog.deadline = math.inf
        return data if len(data) <= PIECE else self._next_piece(memoryview(data))

    def _next_piece(self, data: memoryview) -> bytes:
        self._rest = data[PIECE:] if len(data) > PIECE else None
        return bytes(data[:PIECE])

    def _read_remaining(self, error: Exception) -> bytes:
        """Return what came just before the connection broke: aiohttp no longer hands it out by itself."""
        if self._watchdog.has_closed:
            raise TimedOut("The upstream fell silent.") from error
        data = self._content._read_nowait(-1)
        if not data:
            message = "The connection to the upstream broke off."
            raise Unreachable(message, upstream_failure="broken_off") from error
        return data


def _is_whole(content_type: str, streamed: bool) -> bool:
    """Return whether the body is one JSON answer (or no answer at all) instead of an event stream."""
    if content_type == "text/event-stream":
        return False
    return not streamed or content_type in ("application/json", "text/html")


async def read_error_body(response: aiohttp.ClientResponse) -> bytes:
    """Read as much of an error's body as comes in time and stays within the limit."""
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_TIMEOUT):
            while len(body) < ERROR_BODY_LIMIT and (data := await response.content.readany()):
                body += data
    except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        pass
    return bytes(body)
