"""What an upstream sends, as far as it is read: everything may be missing or null.

`delta` of a chunk and `message` of a whole answer have the same shape and are read as one.
"""

from typing import Any

import msgspec

Number = int | float | None


class _Wire(msgspec.Struct, gc=False):
    """Short-lived and free of cycles, so the garbage collector need not track it."""


class Function(_Wire):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Call(_Wire):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Sound(_Wire):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: Number = None


class ContentPart(_Wire):
    """Content as a list of parts, which some servers send: text, and text within `thinking`."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    thinking: "str | list[ContentPart] | None" = None


class Delta(_Wire):
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    audio: Sound | None = None


class Choice(_Wire):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class PromptDetails(_Wire):
    cached_tokens: Number = None
    audio_tokens: Number = None


class CompletionDetails(_Wire):
    reasoning_tokens: Number = None
    audio_tokens: Number = None
    accepted_prediction_tokens: Number = None
    rejected_prediction_tokens: Number = None


class Tokens(_Wire):
    prompt_tokens: Number = None
    completion_tokens: Number = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Number = None


class Chunk(_Wire):
    choices: list[Choice] | None = None
    usage: Tokens | None = None
    error: Any = None
