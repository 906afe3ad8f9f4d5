"""Messages, requests and events as pure values: what every engine reads and yields.

They are no vendor's wire format. Dialects translate requests into them, engines translate them
for their upstream, and messages are stored in their JSON form (`encode_parts`).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all values: immutable, compared by content, written without its defaults."""


# --- parts of a message -------------------------------------------------------------------------


class Blob(Value, frozen=True):
    """Bytes kept outside the database, named by their SHA-256 (hex)."""

    sha256: str
    media_type: str
    size: int


class TextPart(Value, frozen=True, tag="text"):
    text: str


class RefusalPart(Value, frozen=True, tag="refusal"):
    text: str


class ReasoningPart(Value, frozen=True, tag="reasoning"):
    """What the model thought aloud: stored and shown, never sent back as history."""

    text: str


class ImagePart(Value, frozen=True, tag="image"):
    """A picture. `url` says from where it was fetched; before that there is no `blob`."""

    blob: Blob | None = None
    url: str | None = None
    detail: str | None = None


class AudioPart(Value, frozen=True, tag="audio"):
    """Sound that somebody sent; `format` as the sender named it (`wav`, `mp3`, …)."""

    blob: Blob
    format: str


class FilePart(Value, frozen=True, tag="file"):
    """A document; or, until the file is looked at, a picture or sound that `file_id` stands for."""

    blob: Blob | None = None
    filename: str | None = None
    file_id: str | None = None
    stands_for: Literal["image_url", "input_audio"] | None = None
    detail: str | None = None


class SpokenPart(Value, frozen=True, tag="spoken"):
    """The model's own spoken answer. `expires_at` is in seconds since the epoch."""

    id: str
    transcript: str = ""
    blob: Blob | None = None
    expires_at: int | None = None


class ToolCall(Value, frozen=True, tag="tool_call"):
    """`arguments` is the model's text: usually, not always, a JSON object."""

    id: str
    name: str
    arguments: str


Part = TextPart | RefusalPart | ReasoningPart | ImagePart | AudioPart | FilePart | SpokenPart | ToolCall


class Message(Value, frozen=True):
    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


_parts_decoder = msgspec.json.Decoder(tuple[Part, ...])
_encoder = msgspec.json.Encoder()


def encode_parts(parts: tuple[Part, ...]) -> str:
    """The JSON text under which a message's parts are stored."""
    return _encoder.encode(parts).decode()


def decode_parts(stored: str) -> tuple[Part, ...]:
    return _parts_decoder.decode(stored)


# --- a request ----------------------------------------------------------------------------------


class Tool(Value, frozen=True):
    """A function the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class ToolChoice(Value, frozen=True):
    """`mode` as in OpenAI's dialect; `names` are the tools it is limited to (none: all of them)."""

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


def sound_format(audio: AudioOutput | None, *, stream: bool) -> str:
    """A stream of sound has one format only, so that its pieces can be joined."""
    return "pcm16" if stream else (audio and audio.format) or "wav"


class EngineRequest(Value, frozen=True):
    """One question to an engine.

    `params` holds the sampling and other OpenAI parameters by OpenAI's names, already validated.
    `stream` is a hint: an engine may ask its upstream for a whole answer where it is false.
    """

    messages: tuple[Message, ...]
    read_blob: Callable[[Blob], Awaitable[bytes]]
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
    def sound_format(self) -> str:
        return sound_format(self.audio, stream=self.stream)


# --- events -------------------------------------------------------------------------------------


class TextDelta(Value, frozen=True):
    text: str
    choice: int = 0
    logprobs: dict[str, Any] | None = None


class RefusalDelta(Value, frozen=True):
    text: str
    choice: int = 0


class ReasoningDelta(Value, frozen=True):
    text: str
    choice: int = 0


class ToolCallStart(Value, frozen=True):
    """Opens call number `index` of a choice; a call ends where the next one, or the choice, does."""

    index: int
    id: str
    name: str
    choice: int = 0


class ToolCallArguments(Value, frozen=True):
    index: int
    fragment: str
    choice: int = 0


class AudioDelta(Value, frozen=True):
    """A piece of the spoken answer; `id` and `expires_at` come once each.

    `data` is raw bytes, not base64: pcm16 (24 kHz, mono) where the answer is streamed, else the
    whole sound in the format asked for.
    """

    id: str | None = None
    data: bytes | None = None
    transcript: str | None = None
    expires_at: int | None = None
    choice: int = 0


class Finish(Value, frozen=True):
    reason: FinishReason
    choice: int = 0


class Usage(Value, frozen=True):
    """Tokens, as the upstream counted them or, where it did not, as `estimated`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prompt_audio_tokens: int = 0
    reasoning_tokens: int = 0
    completion_audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    image_text_tokens: int = 0
    """Of the prompt's: text read from pictures for a model that does not see."""
    transcript_tokens: int = 0
    """Of the prompt's: what was heard for a model that does not hear."""
    estimated: bool = False

    @property
    def lacks_prompt(self) -> bool:
        return False

    @property
    def lacks_completion(self) -> bool:
        return False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(_COUNTS, msgspec.structs.astuple(self), strict=False))

    @property
    def bounded(self) -> "Usage":
        """With counts that any database can hold, whatever an upstream said."""
        counts = msgspec.structs.astuple(self)[: len(_COUNTS)]
        if min(counts) >= 0 and max(counts) <= _MOST:
            return self
        bounded = (max(0, min(count, _MOST)) for count in counts)
        return msgspec.structs.replace(self, **dict(zip(_COUNTS, bounded, strict=True)))

    def __add__(self, other: "Usage") -> "Usage":
        theirs = other.counts
        sums = {name: count + theirs[name] for name, count in self.counts.items()}
        estimated = self.estimated or other.estimated
        lacks_prompt = self.lacks_prompt or other.lacks_prompt
        lacks_completion = self.lacks_completion or other.lacks_completion
        if lacks_prompt or lacks_completion:
            return PartialUsage(
                **sums, estimated=estimated, lacks_prompt=lacks_prompt, lacks_completion=lacks_completion
            )
        return Usage(**sums, estimated=estimated)


class PartialUsage(Usage, frozen=True):
    """What an engine tells whose upstream did not count both halves; who bills it counts what it lacks."""

    lacks_prompt: bool = False
    lacks_completion: bool = False


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "estimated")
_MOST = 2**31 - 1

Event = (
    TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallStart
    | ToolCallArguments
    | AudioDelta
    | Finish
    | Usage
)
