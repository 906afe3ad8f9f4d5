"""Streaming responses that send what sandbox jobs yield, as it comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec

from core.exceptions import ApiError
from core.http.asgi_endpoint import Sender
from core.http.body import ClientDisconnected
from core.http.responses import EVENT_STREAM, end_stream, start_stream

T = TypeVar("T")

AHEAD_BYTES = 16 * 1024 * 1024
"""How far a job may run ahead of a slow client, which then no longer holds up others."""
KEEP_ALIVE = b": ping\n"


class NothingReceived(Exception):
    """Nothing came within the given time."""


class ReadAhead(Generic[T]):
    """A stream that is read up to `ahead_bytes` ahead, whether or not anyone takes its items."""

    def __init__(
        self, source: AsyncGenerator[T, None], size_of: Callable[[T], int], ahead_bytes: int
    ) -> None:
        self._source = source
        self._size_of = size_of
        self._ahead_bytes = ahead_bytes
        self._items: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._buffered_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def take(self, is_gone: asyncio.Event, patience: float | None = None) -> T | None:
        """Return the next item, or None at the end.

        Raises what the source raises, `ClientDisconnected`, and `NothingReceived` after `patience` seconds.
        """
        getting = asyncio.ensure_future(self._items.get())
        leaving = asyncio.ensure_future(is_gone.wait())
        try:
            await asyncio.wait({getting, leaving}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            getting.cancel()
        if is_gone.is_set():
            raise ClientDisconnected
        if not getting.done():
            raise NothingReceived
        item = getting.result()
        if isinstance(item, Exception):
            raise item
        if item is not None:
            self._buffered_bytes -= self._size_of(item)
            self._has_room.set()
        return item

    async def run(self) -> None:
        try:
            async with aclosing(self._source) as source:
                async for item in source:
                    self._buffered_bytes += self._size_of(item)
                    self._items.put_nowait(item)
                    if self._buffered_bytes > self._ahead_bytes:
                        self._has_room.clear()
                        await self._has_room.wait()
            self._items.put_nowait(None)
        except Exception as error:  # noqa: BLE001 (`take` raises it)
            self._items.put_nowait(error)


@asynccontextmanager
async def read_ahead(
    source: AsyncGenerator[T, None],
    is_gone: asyncio.Event,
    size_of: Callable[[T], int] = lambda item: 0,
    ahead_bytes: int = AHEAD_BYTES,
) -> AsyncIterator[ReadAhead[T]]:
    """Read a stream ahead until the block ends or the client is gone, which closes it and so stops its job.

    Without `size_of`, items count for no bytes: a transcript is small compared with its sound.
    """
    ahead = ReadAhead(source, size_of, ahead_bytes)
    running = asyncio.ensure_future(ahead.run())
    leaving = asyncio.ensure_future(is_gone.wait())  # the block may wait for a client that reads nothing
    leaving.add_done_callback(lambda _: running.cancel())
    try:
        yield ahead
    finally:
        leaving.cancel()
        await asyncio.wait({running})


async def start_events(send: Sender) -> None:
    await start_stream(send, EVENT_STREAM)
    send.encode_error = encode_error_event


async def end_events(send: Sender, last: bytes) -> None:
    send.encode_error = None
    await end_stream(send, last)


def encode_event(content: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def encode_error_event(error: ApiError) -> bytes:
    """Return an error event for when the status is already sent; clients take any `error` as the end."""
    return encode_event(error.envelope)
