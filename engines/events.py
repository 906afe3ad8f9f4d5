"""What an engine yields: pieces of the answer, its end, and the tokens it used."""

from typing import Any, Literal

import msgspec

from core.values import Value

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
