"""Token counts, for what an upstream did not count."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from engines.events import (
    AudioDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from media.processing.sound.output_formats import PCM16_BYTES_PER_MILLISECOND

BYTES_PER_TOKEN = 4
MILLISECONDS_PER_TOKEN = 50
"""Milliseconds of generated sound per token, as OpenAI counts them."""
TOKENS_PER_MESSAGE = 4


class PromptEstimate(NamedTuple):
    """What a prompt is estimated at, each time a model reads it: `sound` tokens of all `tokens` are heard."""

    tokens: int = 0
    sound: int = 0
    images: int = 0


class ByteTally:
    """The bytes of an answer so far: text, reasoning, the model's sound, and the speech made of it here."""

    __slots__ = ("answer", "reasoning", "sound", "spoken")

    def __init__(self, answer: int = 0, reasoning: int = 0, sound: int = 0, spoken: int = 0) -> None:
        self.answer = answer
        self.reasoning = reasoning
        self.sound = sound
        self.spoken = spoken

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.answer, self.reasoning, self.sound, self.spoken

    def add(self, event: Event) -> None:
        match event:
            case TextDelta() | RefusalDelta():
                text = event.text
                self.answer += len(text) if text.isascii() else len(text.encode())
            case ReasoningDelta():
                self.reasoning += len(event.text.encode())
            case ToolCallArguments():
                self.answer += len(event.fragment.encode())
            case ToolCallStart():
                self.answer += len(event.name.encode())
            case AudioDelta():
                self.sound += len(event.data or b"")

    def estimate(self, prompt: PromptEstimate, requests: int = 1) -> Usage:
        """Estimate the tokens from the size of the prompt and of the answer, marked `estimated`.

        Four bytes of UTF-8 are taken for a token: within a quarter of the truth for English, too many for
        code, too few for few other languages. Sound is taken for PCM16, which it is in streams.
        """
        thought, sound = tokens_of(self.reasoning), pcm16_tokens(self.sound)
        return Usage(
            prompt_tokens=requests * prompt.tokens,
            prompt_audio_tokens=requests * prompt.sound,
            completion_tokens=thought + tokens_of(self.answer) + sound,
            reasoning_tokens=thought,
            completion_audio_tokens=sound,
            estimated=True,
        )

    @property
    def speech(self) -> Usage:
        """The usage of the speech that was made here, which no engine counts."""
        tokens = pcm16_tokens(self.spoken)
        return Usage(completion_tokens=tokens, completion_audio_tokens=tokens)


def fill_missing_counts(theirs: Usage, ours: Usage) -> Usage:
    """Return their count, with each half that it lacks taken whole from ours.

    It is marked `estimated` if any half is. That nothing came is no estimate.
    """
    prompt = ours if theirs.lacks_prompt else theirs
    completion = ours if theirs.lacks_completion and ours.completion_tokens else theirs
    return prompt.with_completion_of(completion)


def fill_broken_counts(told: Sequence[Usage], requests: int, ours: Usage) -> Usage:
    """Return what answers that broke off used: as far as they were counted, and else our estimate.

    `told` are the counts of some of the `requests`, which all had the same prompt. What was told of an answer
    may be older than its last words, so the larger count of the completion is right.
    """
    theirs = sum(told, Usage())
    prompt = max(usage.prompt_tokens for usage in told)
    if prompt:
        ours = msgspec.structs.replace(theirs, prompt_tokens=requests * prompt).with_completion_of(ours)
    if theirs.completion_tokens <= ours.completion_tokens:
        return ours
    return msgspec.structs.replace(
        ours.with_completion_of(theirs), estimated=not prompt or len(told) < requests
    )


def estimate_tokens(text: str) -> int:
    return tokens_of(len(text.encode()))


def sound_tokens(milliseconds: int) -> int:
    return -(-milliseconds // MILLISECONDS_PER_TOKEN)


def pcm16_tokens(size: int) -> int:
    return sound_tokens(-(-size // PCM16_BYTES_PER_MILLISECOND))


def tokens_of(size: int) -> int:
    """Return the tokens that are expected of so many bytes of text."""
    return -(-size // BYTES_PER_TOKEN)
