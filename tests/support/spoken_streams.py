"""Helpers for tests of spoken answers: requesting one, and reading its stream as clients do."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.support.media_requests import RATE
from tests.support.people import Person
from tests.support.running_server import PATHS, Server

VOICE = "espeak-en-us"
"""A voice that needs no model."""
TEXT = "Good morning to you all. The sun is up. Is the kettle on?"


def spoken_request(text: str = TEXT, *, slow: float = 0, **more: Any) -> dict[str, Any]:
    """A request body whose spoken answer is `text`; `slow` is the delay in seconds before each word."""
    return {
        "model": "text-only",
        "messages": [{"role": "user", "content": f"[[slow: {slow}]] [[text: {text}]]"}],
        "modalities": ["text", "audio"],
        "audio": {"voice": VOICE, "format": "pcm16"},
        **more,
    }


def spoken_request_in(format: str, text: str = TEXT, **more: Any) -> dict[str, Any]:
    return spoken_request(text, stream=False, **more) | {"audio": {"voice": VOICE, "format": format}}


def stream_of(
    server: Server, who: Person, body: dict[str, Any], dialect: str = "openai"
) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream as they arrive; closing the iterator closes the connection."""
    with (
        server.client(who) as client,
        client.stream("POST", PATHS[dialect], json={**body, "stream": True}) as answer,
    ):
        if answer.status_code != 200:
            raise AssertionError(answer.read())
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                yield msgspec.json.decode(line[6:])


def audio_in(chunk: dict[str, Any], choice: int = 0) -> dict[str, Any]:
    """The audio delta in a chunk; empty if there is none."""
    for found in chunk.get("choices", ()):
        if found["index"] == choice:
            audio: dict[str, Any] = found["delta"].get("audio", {})
            return audio
    return {}


def sound_in(chunks: list[dict[str, Any]], choice: int = 0) -> bytes:
    """The samples that the chunks carry."""
    return b"".join(b64decode(audio_in(chunk, choice).get("data", "")) for chunk in chunks)


def seconds_in(pcm: bytes) -> float:
    return len(pcm) / 2 / RATE
