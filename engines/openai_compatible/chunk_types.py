"""The parts of what an upstream sends that are read: any of them may be missing or null.

A chunk's `delta` and a whole answer's `message` have the same shape and are read alike. Fields typed `Any`
come in every type, and a wrong one is no reason to give up on an answer.
"""

import json
from typing import Any

import msgspec


class _ChunkPart(msgspec.Struct, gc=False):
    """The base of all parts: short-lived and free of cycles, so the garbage collector need not track them."""


class ChunkFunction(_ChunkPart):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ChunkToolCall(_ChunkPart):
    index: int | None = None
    id: str | None = None
    function: ChunkFunction | None = None


class ChunkAudio(_ChunkPart):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: Any = None


class ChunkContentPart(_ChunkPart):
    """A part of content that some servers send as a list: text, or text within `thinking`."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    thinking: "str | list[ChunkContentPart] | None" = None


class ChunkDelta(_ChunkPart):
    content: str | list[ChunkContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ChunkToolCall] | None = None
    function_call: ChunkFunction | None = None
    audio: ChunkAudio | None = None


class ChunkChoice(_ChunkPart):
    index: int | None = None
    delta: ChunkDelta | None = None
    message: ChunkDelta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None
    usage: Any = None


class Chunk(_ChunkPart):
    choices: list[ChunkChoice] | None = None
    usage: Any = None
    x_groq: Any = None
    timings: Any = None
    error: Any = None


def decode_leniently(payload: bytes) -> Any:
    """Decode lone surrogates, broken UTF-8 and huge or infinite numbers, which msgspec rightly rejects.

    Raises `ValueError` or `RecursionError` if it is not JSON at all.
    """
    text = payload.decode("utf-8", "replace")
    return json.loads(text, parse_int=_integer, parse_constant=_CONSTANTS.get)


_CONSTANTS = {"Infinity": float("inf"), "-Infinity": float("-inf")}


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)
