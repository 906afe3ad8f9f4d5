"""Clients that leave before they have their answer."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.people import Person
from tests.support.running_server import PATHS, Server


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


def leave_unanswered(server: Server, who: Person, body: dict[str, Any], seconds: float = 0.5) -> None:
    """Ask, and leave after so many seconds without an answer."""
    with server.client(who) as client:
        client.timeout = httpx2.Timeout(10, read=seconds)
        with pytest.raises(httpx2.ReadTimeout):
            client.post(PATHS["openai"], json=body)
