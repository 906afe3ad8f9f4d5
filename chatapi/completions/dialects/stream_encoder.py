"""Encoding of log entries into the bytes of a stream: a state machine per stream, a state per choice.

A stream ends in one of two ways. If every choice has its finish, it ends with the finish chunks, the usage
and `data: [DONE]`. Otherwise it ends with an error and no `[DONE]`, which SDKs would take for success. That
includes a completion that was cancelled elsewhere, or interrupted, while this viewer was still there.
"""

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from core.exceptions import ApiError, envelope
from engines.answers import Answer, AnswerEnd, AnswerHead, Failure
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from engines.usage_json import usage_as_json

KEEP_ALIVE = b": ping\n"
NDJSON_KEEP_ALIVE = b"\n"

SOUND_PIECE = 12_000
"""Bytes of sound per chunk: a multiple of 6, for whole 16-bit samples whose base64 can be concatenated."""

_SOUND_UNIT = 6
_encode = msgspec.json.Encoder().encode
_PLACEHOLDER = "\ue000"

Delta = dict[str, Any]


def line_safe(encoded: bytes) -> bytes:
    """Escape what some clients take for the end of a line when they split the decoded text."""
    if encoded.isascii():
        return encoded
    return (
        encoded.replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        .replace(b"\xc2\x85", b"\\u0085")
    )


class _Sound:
    """The spoken answer of one choice: what has been sent of it, and bytes too few for a chunk."""

    def __init__(self) -> None:
        self.has_sent_id = False
        self.has_sent_expiry = False
        self.rest = b""

    def deltas(self, event: AudioDelta) -> Iterator[Delta]:
        if event.id is not None and not self.has_sent_id:
            self.has_sent_id = True
            yield {"id": event.id}
        if event.transcript:
            yield {"transcript": event.transcript}
        for piece in self._pieces(event.data or b""):
            yield {"data": sound_as_base64(piece)}
        if event.expires_at is not None and not self.has_sent_expiry:
            self.has_sent_expiry = True
            yield {"expires_at": event.expires_at}

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        data = self.rest + data
        whole = len(data) - len(data) % _SOUND_UNIT
        self.rest = data[whole:]
        for start in range(0, whole, SOUND_PIECE):
            yield data[start : min(start + SOUND_PIECE, whole)]

    def flush(self) -> Iterator[Delta]:
        if self.rest:
            yield {"data": sound_as_base64(self.rest)}
            self.rest = b""


class StreamEncoder(ABC):
    """Encodes entries into whole frames. `keep_alive` is what may be sent between them."""

    def __init__(self, head: AnswerHead, *, n: int, ndjson: bool) -> None:
        self._head = {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        self._n = n
        self._before, self._after = (b"", b"\n") if ndjson else (b"data: ", b"\n\n")
        self._done = b"" if ndjson else b"data: [DONE]\n\n"
        self.keep_alive = NDJSON_KEEP_ALIVE if ndjson else KEEP_ALIVE
        self._texts: dict[int, tuple[bytes, bytes]] = {}
        self._sounds: dict[int, _Sound] = {}

    def encode(self, entries: Sequence[Event | AnswerEnd]) -> bytes:
        """Return the frames of these entries, joined; empty if there is nothing to tell a client."""
        frames: list[bytes] = []
        for entry in entries:
            if (
                type(entry) is TextDelta
                and entry.logprobs is None
                and (around := self._texts.get(entry.choice)) is not None
            ):  # nearly all entries: one string between two ready-made pieces
                frames += (around[0], line_safe(_encode(entry.text)), around[1])
            else:
                frames += self._frames(entry)
        return b"".join(frames)

    def encode_error(self, error: ApiError) -> bytes:
        """Return the frames that end a stream early."""
        return b"".join((*self._flush(), self._frame(error.envelope)))

    def _frames(self, entry: Event | AnswerEnd) -> Iterable[bytes]:
        if isinstance(entry, AnswerEnd):
            return self._end(entry)
        if isinstance(entry, Finish | Usage):
            return ()
        return self._event(entry)

    def _event(self, event: Any) -> Iterator[bytes]:
        yield from self._open((event.choice,), event)
        match event:
            case TextDelta():
                yield self._delta(event.choice, {"content": event.text}, event.logprobs)
            case RefusalDelta():
                yield self._delta(event.choice, {"refusal": event.text})
            case ReasoningDelta():
                yield from self._reasoning(event)
            case ToolCallStart():
                yield from self._call_start(event)
            case ToolCallArguments():
                yield self._call_arguments(event)
            case AudioDelta():
                sound = self._sounds.setdefault(event.choice, _Sound())
                yield from (self._delta(event.choice, {"audio": delta}) for delta in sound.deltas(event))

    def _open(self, choices: Iterable[int], event: Any = None) -> Iterator[bytes]:
        """Yield the role chunks; at the first event those of all choices, so that their indexes ascend."""
        for choice in sorted({*range(self._n), *choices} - self._texts.keys()):
            self._texts[choice] = self._around_text(choice)
            first = event if event is not None and event.choice == choice else None
            yield self._delta(choice, self._role(first))

    def _around_text(self, choice: int) -> tuple[bytes, bytes]:
        before, _, after = self._delta(choice, {"content": _PLACEHOLDER}).partition(_encode(_PLACEHOLDER))
        return before, after

    def _end(self, ended: AnswerEnd) -> Iterator[bytes]:
        if failure := self._failure(ended):
            yield from self._flush()
            yield self._frame(envelope(failure.message, failure.type, failure.param, failure.code))
            return
        yield from self._open(finish.choice for finish in ended.finishes)
        yield from self._flush()
        yield from self._finish(ended)
        yield self._done

    def _failure(self, ended: AnswerEnd) -> Failure | None:
        if ended.failure is not None:
            return ended.failure
        finished = {finish.choice for finish in ended.finishes}
        if finished.issuperset({*range(self._n), *self._texts}):
            return None
        if ended.state == "cancelled":
            return Failure("The completion was cancelled.", code="cancelled")
        return Failure("The completion was interrupted before it was finished.", code="interrupted")

    def _flush(self) -> Iterator[bytes]:
        for choice, sound in self._sounds.items():
            yield from (self._delta(choice, {"audio": delta}) for delta in sound.flush())

    def _frame(self, value: Mapping[str, Any]) -> bytes:
        return self._before + line_safe(_encode(value)) + self._after

    @abstractmethod
    def _delta(self, choice: int, delta: Delta, logprobs: dict[str, Any] | None = None) -> bytes: ...

    @abstractmethod
    def _role(self, first: Event | None) -> Delta:
        """Return the delta that opens a choice, given its first event if that is known."""

    @abstractmethod
    def _reasoning(self, event: ReasoningDelta) -> Iterable[bytes]: ...

    @abstractmethod
    def _call_start(self, event: ToolCallStart) -> Iterable[bytes]: ...

    @abstractmethod
    def _call_arguments(self, event: ToolCallArguments) -> bytes: ...

    @abstractmethod
    def _finish(self, ended: AnswerEnd) -> Iterable[bytes]: ...


def completion_as_json(answer: Answer, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a whole answer, without absent fields. Each dialect makes its own `choices`."""
    body: dict[str, Any] = {
        "id": answer.head.id,
        "object": "chat.completion",
        "created": answer.head.created,
        "model": answer.head.model,
        "choices": choices,
    }
    if answer.usage is not None:
        body["usage"] = usage_as_json(answer.usage)
    if answer.service_tier is not None:
        body["service_tier"] = answer.service_tier
    if answer.metadata:
        body["metadata"] = answer.metadata
    return body


def sound_as_base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
