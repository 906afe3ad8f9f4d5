"""Answers put together from the events of an engine, whether still growing or complete."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from core.blob import Blob
from core.value import Value
from engines.base import UpstreamFailure
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from engines.messages import Message, Part, ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall

CompletionState = Literal["in_progress", "completed", "cancelled", "interrupted", "failed"]


class AnswerHead(Value, frozen=True):
    """The fields that every chunk of an answer repeats; `created` is in seconds since the epoch."""

    id: str
    created: int
    model: str


class Failure(Value, frozen=True):
    """Why an answer failed, as the fields of the error envelope, and how its upstream failed, if that did."""

    message: str
    type: str = "server_error"
    param: str | None = None
    code: str | None = None
    status: int = 502
    retry_after: float | None = None
    upstream_failure: UpstreamFailure | None = None


class AnswerEnd(Value, frozen=True):
    """The last entry of a completion's log, appended once its outcome is stored."""

    state: CompletionState
    finishes: tuple[Finish, ...] = ()
    usage: Usage | None = None
    failure: Failure | None = None


class Choice(Value, frozen=True):
    """One choice; `finish_reason` is None if the answer broke off, `logprobs` is OpenAI's object."""

    index: int
    message: Message
    finish_reason: FinishReason | None = None
    logprobs: dict[str, Any] | None = None


class Outcome(Value, frozen=True):
    """How a run ended, to be stored.

    `choices` hold as much of the answer as there is, `sounds` the bytes of its spoken parts by SHA-256.
    `served_by` is the model that answered, `requests` how often it was asked, and `images` how many pictures
    it was shown.
    """

    state: CompletionState
    choices: tuple[Choice, ...]
    sounds: dict[str, bytes]
    usage: Usage
    images: int
    requests: int
    served_by: str
    failure: Failure | None
    first_event_at: datetime | None
    ended_at: datetime


class Answer(Value, frozen=True):
    """A completion's answer, complete or as far as it got."""

    head: AnswerHead
    choices: tuple[Choice, ...]
    state: CompletionState = "completed"
    usage: Usage | None = None
    metadata: dict[str, str] = {}
    service_tier: str | None = None


class _Draft:
    """One choice while it grows."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.reasonings: list[str] = []
        self.calls: dict[int, tuple[str, str, list[str]]] = {}
        self.sound = bytearray()
        self.transcripts: list[str] = []
        self.sound_id: str | None = None
        self.sound_expires_at: int | None = None
        self.logprobs: dict[str, list[Any]] = {}
        self.finish: FinishReason | None = None

    def add_sound(self, event: AudioDelta) -> None:
        self.sound_id = event.id or self.sound_id
        self.sound_expires_at = event.expires_at or self.sound_expires_at
        self.sound += event.data or b""
        if event.transcript:
            self.transcripts.append(event.transcript)

    def add_logprobs(self, logprobs: dict[str, Any]) -> None:
        for name, entries in logprobs.items():
            if isinstance(entries, list):
                self.logprobs.setdefault(name, []).extend(entries)

    def parts(self, sound_type: str) -> Iterable[Part]:
        if self.reasonings:
            yield ReasoningPart("".join(self.reasonings))
        if text := "".join(self.texts):
            yield TextPart(text)
        if self.refusals:
            yield RefusalPart("".join(self.refusals))
        if self.sound_id is not None:
            yield self.spoken_part(self.sound_id, sound_type)
        for _, (call_id, name, fragments) in sorted(self.calls.items()):
            yield ToolCall(call_id, name, "".join(fragments))

    def spoken_part(self, sound_id: str, sound_type: str) -> SpokenPart:
        blob = None
        if self.sound:
            blob = Blob(sha256(self.sound).hexdigest(), sound_type, len(self.sound))
        return SpokenPart(sound_id, "".join(self.transcripts), blob, self.sound_expires_at)


class Assembler:
    """Choices assembled from events; at any moment they are what a viewer has been sent.

    `sound_type` is the media type of the sound that an `AudioDelta` carries.
    """

    def __init__(self, *, choices: int = 1, sound_type: str) -> None:
        self._drafts = {index: _Draft() for index in range(choices)}
        self._sound_type = sound_type

    def add(self, event: Event) -> None:
        if isinstance(event, Usage):
            return
        draft = self._drafts.setdefault(event.choice, _Draft())
        match event:
            case TextDelta():
                draft.texts.append(event.text)
                if event.logprobs:
                    draft.add_logprobs(event.logprobs)
            case ToolCallArguments():
                draft.calls[event.index][2].append(event.fragment)
            case ToolCallStart():
                draft.calls[event.index] = (event.id, event.name, [])
            case ReasoningDelta():
                draft.reasonings.append(event.text)
            case RefusalDelta():
                draft.refusals.append(event.text)
            case AudioDelta():
                draft.add_sound(event)
            case Finish():
                draft.finish = event.reason

    def choices(self) -> tuple[Choice, ...]:
        return tuple(
            Choice(
                index=index,
                message=Message("assistant", tuple(draft.parts(self._sound_type))),
                finish_reason=draft.finish,
                logprobs=draft.logprobs or None,
            )
            for index, draft in sorted(self._drafts.items())
        )

    def sounds(self) -> dict[str, bytes]:
        """Return the bytes of the spoken parts, keyed by SHA-256."""
        sounds = (bytes(draft.sound) for draft in self._drafts.values() if draft.sound)
        return {sha256(sound).hexdigest(): sound for sound in sounds}


def assemble(
    entries: Iterable[Event | AnswerEnd], finishes: Iterable[Finish], *, choices: int, sound_type: str
) -> Assembler:
    """Assemble a log's entries and the finishes that were held back until its end."""
    assembler = Assembler(choices=choices, sound_type=sound_type)
    for entry in (*entries, *finishes):
        if not isinstance(entry, AnswerEnd):
            assembler.add(entry)
    return assembler
