"""A completion request as both dialects mean it, after validation."""

from collections.abc import Mapping
from typing import Any, Literal

from core.values import Value
from engines.messages import Message
from engines.requests import AudioOutput, ResponseFormat, Tool, ToolChoice, sound_format

DialectName = Literal["native", "openai"]
OnDisconnect = Literal["cancel", "continue"]

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""The names of one thing, the newer first: many upstreams know only one of them."""


class CompletionRequest(Value, frozen=True):
    """`params` holds the sampling and other OpenAI parameters by OpenAI's names.

    `uploads` are the bytes that came inline (base64), by the SHA-256 under which the messages'
    blobs name them. `conversation_id` and `parent_message_id` are as the client wrote them.
    `positions` says where each message began in the client's list; empty where nothing was merged.
    """

    dialect: DialectName
    messages: tuple[Message, ...]
    model: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None
    modalities: tuple[str, ...] = ("text",)
    audio: AudioOutput | None = None
    params: dict[str, Any] = {}
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    ssml: bool = False
    metadata: dict[str, str] = {}
    context: dict[str, Any] | None = None
    conversation_id: str | None = None
    parent_message_id: str | None = None
    end_user: str = ""
    on_disconnect: OnDisconnect | None = None
    uploads: Mapping[str, bytes] = {}
    positions: tuple[int, ...] = ()

    @property
    def sound_format(self) -> str:
        return sound_format(self.audio, stream=self.stream)

    @property
    def output_limit(self) -> int:
        """Tokens that an answer may have, as the call says; 0 where it says nothing."""
        return asked_limit(self.params)


def asked_limit(params: Mapping[str, Any]) -> int:
    """The smaller where both names are given; 0 where neither is."""
    return min((tokens for name in OUTPUT_LIMITS if (tokens := params.get(name))), default=0)


def with_one_limit(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with that limit under each name that was given: no upstream reads another."""
    limit = asked_limit(params)
    return {**params, **{name: limit for name in OUTPUT_LIMITS if params.get(name)}}


def kept(request: CompletionRequest) -> dict[str, Any]:
    """What reviewers see of the request beside its messages: all that was not left at its default."""
    return {name: value for name, default in _KEPT.items() if (value := getattr(request, name)) != default}


_KEPT = {
    name: default
    for name, default in zip(
        CompletionRequest.__struct_fields__[-len(CompletionRequest.__struct_defaults__) :],
        CompletionRequest.__struct_defaults__,
        strict=True,
    )
    if name not in {"uploads", "end_user", "positions"}
}
