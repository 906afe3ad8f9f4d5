"""The events that an engine yields: pieces of the answer, its end, and the tokens it used."""

from typing import Any, Literal

import msgspec

from core.value import Value

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


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
    """The start of call number `index` of a choice; it ends where the next call or the choice ends."""

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

    `data` is raw bytes, not base64: pcm16 (24 kHz, mono) if the answer is streamed, else the whole sound in
    the requested format.
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
    """Token counts from the upstream or, if it did not count, `estimated` ones."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prompt_audio_tokens: int = 0
    reasoning_tokens: int = 0
    completion_audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    image_text_tokens: int = 0
    """Prompt tokens of text read from pictures for a model that cannot see."""
    transcript_tokens: int = 0
    """Prompt tokens of transcripts made for a model that cannot hear."""
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
        return dict(zip(_COUNT_FIELDS, msgspec.structs.astuple(self), strict=False))

    @property
    def clamped(self) -> "Usage":
        """The usage with counts that any database can hold, whatever the upstream said."""
        counts = msgspec.structs.astuple(self)[: len(_COUNT_FIELDS)]
        if min(counts) >= 0 and max(counts) <= _COUNT_LIMIT:
            return self
        bounded = (max(0, min(count, _COUNT_LIMIT)) for count in counts)
        return msgspec.structs.replace(self, **dict(zip(_COUNT_FIELDS, bounded, strict=True)))

    def with_completion_of(self, other: "Usage") -> "Usage":
        """Return what this counts of the prompt, and the other of the completion."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            prompt_audio_tokens=self.prompt_audio_tokens,
            completion_tokens=other.completion_tokens,
            reasoning_tokens=other.reasoning_tokens,
            completion_audio_tokens=other.completion_audio_tokens,
            accepted_prediction_tokens=other.accepted_prediction_tokens,
            rejected_prediction_tokens=other.rejected_prediction_tokens,
            estimated=self.estimated or other.estimated,
        )

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
    """Usage from an upstream that did not count both halves; whoever bills it counts what is missing."""

    lacks_prompt: bool = False
    lacks_completion: bool = False


_COUNT_FIELDS = tuple(name for name in Usage.__struct_fields__ if name != "estimated")
_COUNT_LIMIT = 2**31 - 1

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
