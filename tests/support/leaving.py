"""Clients that leave before they have their answer."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from tests.support.people import Person
from tests.support.running_server import PATHS, Server

AT_ONCE = 1.8
"""Seconds within which an upstream is left by who does not wait for its count, which takes two seconds."""


def read_until(pieces: Iterator[str], word: str) -> str:
    """Read the pieces of a stream until a word came; return what was read.

    Keep the pieces for as long as the stream is to stay open: once nobody holds them, it is left.
    """
    read = ""
    for piece in pieces:
        read += piece
        if word in read:
            return read
    raise AssertionError(f"the stream ended before {word!r}: {read[:300]}")


def leave_at(server: Server, who: Person, body: dict[str, Any], word: str) -> float:
    """Ask for a stream, and leave it once a word came; return when that was."""
    body = {**body, "stream": True}
    with server.client(who) as client, client.stream("POST", PATHS["openai"], json=body) as response:
        pieces = response.iter_text()
        read_until(pieces, word)
        time.sleep(0.1)  # so that the service has read what came with the word
    return time.monotonic()


def leave_unanswered(
    server: Server, who: Person, body: dict[str, Any], when: Callable[[], bool], pause: float = 0.1
) -> None:
    """Ask, and leave without an answer a moment after `when` has come true; it may not use the database."""

    async def ask() -> None:
        async with httpx2.AsyncClient(
            base_url=server.url, headers=who.headers, timeout=60, verify=False
        ) as client:
            asking = asyncio.create_task(client.post(PATHS["openai"], json=body))
            while not when():
                assert not asking.done(), asking.result().text
                await asyncio.sleep(0.01)
            await asyncio.sleep(pause)  # so that the service has read what came by then
            assert not asking.done(), asking.result().text
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    asyncio.run(ask())
