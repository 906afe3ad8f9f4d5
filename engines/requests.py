"""Requests to an engine: messages, tools, the format of the answer, and sampling parameters."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from core.blob import Blob
from core.value import Value
from engines.events import Usage
from engines.messages import Message

BlobReader = Callable[[Blob], Awaitable[bytes]]


class Tool(Value, frozen=True):
    """A function that the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class ToolChoice(Value, frozen=True):
    """Which tools may be called: `mode` as in OpenAI's API, `names` the allowed ones (empty: all)."""

    mode: Literal["none", "auto", "required"]
    names: tuple[str, ...] = ()


class ResponseFormat(Value, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class AudioOutput(Value, frozen=True):
    voice: str | None = None
    format: str | None = None


def report_to_nobody(what: object) -> None:
    """Ignore what an engine reports of a request."""


async def read_no_blob(blob: Blob) -> bytes:
    """Read a blob for a request that was not told where its blobs are."""
    raise LookupError(f"this request holds no blob such as {blob.sha256}")


class EngineRequest(Value, frozen=True):
    """One request to an engine.

    `params` holds the sampling and other parameters by OpenAI's names, already validated. `stream` is a hint:
    if it is false, an engine may ask its upstream for a whole answer. `report_sent` is called with 1 when the
    model has got the request whole, and with -1 if it then refused it and is asked again. `report_usage` is
    called with what the model had counted of an answer that broke off before its usage was an event.
    """

    messages: tuple[Message, ...]
    read_blob: BlobReader = read_no_blob
    report_sent: Callable[[int], None] = report_to_nobody
    report_usage: Callable[[Usage], None] = report_to_nobody
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None
    modalities: tuple[str, ...] = ("text",)
    audio: AudioOutput | None = None
    params: dict[str, Any] = {}
    n: int = 1
    stream: bool = True

    @property
    def offered_tools(self) -> tuple[Tool, ...]:
        """The tools that the model is told of.

        A choice limited to several tools offers those alone: that means the same, and few upstreams know
        `allowed_tools`.
        """
        choice = self.tool_choice
        if choice is None or len(choice.names) <= (choice.mode == "required"):
            return self.tools
        return tuple(tool for tool in self.tools if tool.name in choice.names)

    @property
    def sound_format(self) -> str:
        """The sound's format; a stream has only one, so that its pieces can be joined."""
        return "pcm16" if self.stream else (self.audio and self.audio.format) or "wav"
