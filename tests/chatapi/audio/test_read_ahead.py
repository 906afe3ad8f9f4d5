"""Reading a sandbox's stream ahead of a client that may be slow, silent or gone."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chatapi.audio.streaming import NothingReceived, read_ahead
from core.http.body import ClientDisconnected

Source = AsyncGenerator[bytes, None]


class FakeSandbox:
    def __init__(self, pieces: int, size: int = 1, error: Exception | None = None) -> None:
        self.yielded = 0
        self.is_closed = False
        self._pieces = pieces
        self._size = size
        self._error = error

    async def stream(self) -> Source:
        try:
            for _ in range(self._pieces):
                self.yielded += 1
                yield b"x" * self._size
            if self._error:
                raise self._error
            await asyncio.sleep(0)
        finally:
            self.is_closed = True


async def until_quiet() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_it_gives_every_piece_and_then_none() -> None:
    sandbox, is_gone = FakeSandbox(3), asyncio.Event()
    async with read_ahead(sandbox.stream(), is_gone, len) as pieces:
        assert [await pieces.take(is_gone) for _ in range(4)] == [b"x", b"x", b"x", None]


async def test_it_reads_ahead_up_to_the_limit_while_nobody_takes_anything() -> None:
    sandbox, is_gone = FakeSandbox(50, 10), asyncio.Event()
    async with read_ahead(sandbox.stream(), is_gone, len, ahead_bytes=100) as pieces:
        await until_quiet()
        assert sandbox.yielded == 11
        await pieces.take(is_gone)
        await pieces.take(is_gone)
        await until_quiet()
        assert sandbox.yielded == 13
        while await pieces.take(is_gone) is not None:
            pass
    assert sandbox.yielded == 50


async def test_an_error_is_raised_after_the_pieces_before_it() -> None:
    sandbox, is_gone = FakeSandbox(1, error=ZeroDivisionError()), asyncio.Event()
    async with read_ahead(sandbox.stream(), is_gone, len) as pieces:
        assert await pieces.take(is_gone) == b"x"
        with pytest.raises(ZeroDivisionError):
            await pieces.take(is_gone)


async def test_the_stream_is_closed_when_the_client_leaves() -> None:
    sandbox, is_gone = FakeSandbox(10**9), asyncio.Event()

    async def listen() -> None:
        async with read_ahead(endless(sandbox), is_gone, len) as pieces:
            await pieces.take(is_gone)
            asyncio.get_running_loop().call_later(0.01, is_gone.set)
            while True:
                await pieces.take(is_gone)

    with pytest.raises(ClientDisconnected):
        await listen()
    assert sandbox.is_closed


async def test_the_stream_is_closed_when_the_client_is_gone_while_nobody_takes_anything() -> None:
    sandbox, is_gone = FakeSandbox(10**9), asyncio.Event()
    async with read_ahead(endless(sandbox), is_gone, len):
        await asyncio.sleep(0.01)
        is_gone.set()
        await until_quiet()
        assert sandbox.is_closed


async def test_silence_is_reported_and_loses_nothing() -> None:
    release, is_gone = asyncio.Event(), asyncio.Event()

    async def late() -> Source:
        await release.wait()
        yield b"late"

    async with read_ahead(late(), is_gone, len) as pieces:
        with pytest.raises(NothingReceived):
            await pieces.take(is_gone, 0.01)
        release.set()
        assert await pieces.take(is_gone, 5) == b"late"
        assert await pieces.take(is_gone, 5) is None


async def endless(sandbox: FakeSandbox) -> Source:
    """Yield the pieces one by one, letting the event loop run in between."""
    stream = sandbox.stream()
    try:
        async for piece in stream:
            yield piece
            await asyncio.sleep(0.001)
    finally:
        await stream.aclose()
