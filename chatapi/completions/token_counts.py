"""Token counts, for what an upstream did not count."""

from collections.abc import Iterable

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
from engines.messages import Message, TextPart, ToolCall
from media.processing.sound.output_formats import PCM16_BYTES_PER_MILLISECOND

BYTES_PER_TOKEN = 4
MILLISECONDS_PER_TOKEN = 50
"""Milliseconds of generated sound per token, as OpenAI counts them."""
TOKENS_PER_MESSAGE = 4


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

    def estimate(self, prompt_tokens: int) -> Usage:
        """Estimate the tokens from the length of the prompt and the answer, marked `estimated`.

        Four bytes of UTF-8 are taken for a token: within a quarter of the truth for English, too many for
        code, too few for few other languages. Sound is taken for PCM16, which it is in streams.
        """
        thought, sound = _tokens(self.reasoning), pcm16_tokens(self.sound)
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=thought + _tokens(self.answer) + sound,
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

    It is marked `estimated` if any half is.
    """
    prompt = ours if theirs.lacks_prompt else theirs
    completion = ours if theirs.lacks_completion else theirs
    return Usage(
        prompt_tokens=prompt.prompt_tokens,
        cached_tokens=prompt.cached_tokens,
        prompt_audio_tokens=prompt.prompt_audio_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        completion_audio_tokens=completion.completion_audio_tokens,
        accepted_prediction_tokens=completion.accepted_prediction_tokens,
        rejected_prediction_tokens=completion.rejected_prediction_tokens,
        estimated=prompt.estimated or completion.estimated,
    )


def estimate_prompt_tokens(messages: Iterable[Message]) -> int:
    """Estimate the tokens of a prompt: those of its texts, and four for the framing of each message."""
    return sum(TOKENS_PER_MESSAGE + _tokens(text_bytes(message)) for message in messages)


def text_bytes(message: Message) -> int:
    """Return how many bytes of UTF-8 a model reads of a message as text."""
    size = 0
    for part in message.parts:
        if isinstance(part, TextPart):
            size += len(part.text.encode())
        elif isinstance(part, ToolCall):
            size += len(part.name.encode()) + len(part.arguments.encode())
    return size


def estimate_tokens(text: str) -> int:
    return _tokens(len(text.encode()))


def sound_tokens(milliseconds: int) -> int:
    return -(-milliseconds // MILLISECONDS_PER_TOKEN)


def pcm16_tokens(size: int) -> int:
    return sound_tokens(-(-size // PCM16_BYTES_PER_MILLISECOND))


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
