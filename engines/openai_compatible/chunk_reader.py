"""The conversion of what an upstream sends, chunk by chunk or whole, into events."""

import logging
from collections.abc import Iterable
from types import NoneType
from typing import Any

import msgspec

from engines.base import EngineError
from engines.events import (
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
)
from engines.openai_compatible.audio_reader import AudioReader
from engines.openai_compatible.chunk_types import (
    Chunk,
    ChunkChoice,
    ChunkContentPart,
    ChunkDelta,
    ChunkToolCall,
    decode_leniently,
)
from engines.openai_compatible.errors import error_for_fault, find_fault_in_body
from engines.openai_compatible.tool_calls import CallAssembler
from engines.openai_compatible.usage_reader import UsageReader
from engines.surrogates import SurrogateJoiner, join_surrogates_in_json

logger = logging.getLogger(__name__)

_Texts = TextDelta | RefusalDelta | ReasoningDelta

_decode = msgspec.json.Decoder(Chunk).decode
_DONE = b"[DONE]"
_NO_CHUNK = Chunk(choices=[])
INCOMPLETE = "upstream_incomplete"

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChunkReader:
    """A reader of the chunks of one answer with `choices` choices; `finish` returns the closing events.

    The ends of the choices come once all are known, and again if they change. So does the usage, once it
    counts the prompt and the answer; some upstreams repeat both. `context_length`, if it is known, limits
    what usage is believed.
    """

    def __init__(self, choices: int, *, context_length: int | None = None) -> None:
        self._requested = choices
        self._choices: dict[int, _Choice] = {}
        self._has_unrequested = False
        self._usage = UsageReader(choices, context_length)
        self.is_done = False
        """Whether `[DONE]` was read; nothing of interest can follow."""

    @property
    def has_begun(self) -> bool:
        return bool(self._choices)

    @property
    def has_ended(self) -> bool:
        """Whether each requested choice has said why it stopped."""
        if len(self._choices) < self._requested:
            return False
        return None not in [choice.reason for choice in self._choices.values()]

    def read(self, payload: bytes, events: list[Event]) -> None:
        """Append the events of one chunk (or one whole answer) to `events`."""
        try:
            try:
                chunk = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunk = self._decode_leniently(payload)
            if chunk.error or chunk.choices is None:
                self._raise_error_in(payload)
            if chunk.usage is not None:
                self._usage.add(chunk.usage)
            if chunk.x_groq is not None or chunk.timings is not None:
                self._read_extensions(chunk)
            for choice in chunk.choices or ():
                index = choice.index or 0
                state = self._choices.get(index) or self._begin(index)
                if state is not None:
                    state.read(choice, events)
                    if choice.usage is not None:
                        self._usage.add_of_choice(choice.usage, index)
                    if choice.finish_reason and self.has_ended:
                        self._read_ends(events)
            if self._usage.is_new and self.has_ended and (usage := self._usage.read()) is not None:
                self._tell_whole(usage, events)
        except RecursionError as error:
            raise EngineError("The upstream nested its answer too deeply.") from error

    def _read_ends(self, events: list[Event]) -> None:
        """Append the end of each choice whose reason was not told yet."""
        for index in sorted(self._choices):
            self._choices[index].end(events)

    def _tell_whole(self, usage: Usage, events: list[Event]) -> None:
        """Append a usage that lacks nothing."""
        if not (usage.lacks_prompt or usage.lacks_completion):
            self._usage.is_new = False
            events.append(usage)

    def take_usage(self) -> Usage | None:
        """Return what was counted so far, unless it is known already."""
        if not self._usage.is_new:
            return None
        self._usage.is_new = False
        return self._usage.read()

    def _read_extensions(self, chunk: Chunk) -> None:
        if isinstance(chunk.x_groq, dict):
            self._usage.add(chunk.x_groq.get("usage"))
        if chunk.timings is not None:
            self._usage.add_timings(chunk.timings)

    def _begin(self, index: int) -> "_Choice | None":
        """Create the state of a choice; None for a choice that was not requested."""
        if 0 <= index < self._requested:
            return self._choices.setdefault(index, _Choice(index))
        if not self._has_unrequested:
            self._has_unrequested = True
            logger.info("the upstream answers with choices that nobody asked for; they are dropped")
        return None

    def _decode_leniently(self, payload: bytes) -> Chunk:
        """Return the chunk of a payload that is no JSON, or none that can be encoded again."""
        text = payload.strip()
        if text == _DONE:
            self.is_done = True
        if text in (_DONE, b""):
            return _NO_CHUNK
        chunk = _convert(text)
        for choice in chunk.choices or ():
            state = self._begin(choice.index or 0)
            if state is not None:
                state.start_joining()
        return chunk

    def _raise_error_in(self, payload: bytes) -> None:
        fault = find_fault_in_body(payload)
        if fault is not None:
            raise error_for_fault(fault)

    def finish(self) -> list[Event]:
        """Return the rest of each choice, their ends, and the usage. Raises if the answer broke off."""
        events: list[Event] = []
        if not self.has_begun:
            raise EngineError("The upstream ended its answer before it began one.", code=INCOMPLETE)
        for choice in self._choices.values():
            choice.flush(events)
        self._read_ends(events)
        if not self.has_ended:
            raise _incomplete_error()
        usage = self.take_usage()
        if usage is not None:
            events.append(usage)
        return events


def _convert(payload: bytes) -> Chunk:
    try:
        return msgspec.convert(_with_valid_indexes(decode_leniently(payload)), Chunk)
    except (ValueError, msgspec.ValidationError) as error:
        raise EngineError("The upstream sent what is no chat completion.") from error


def _with_valid_indexes(document: Any) -> Any:
    """Replace non-integer indexes with one that was never requested, so their choices are dropped."""
    choices = document.get("choices") if isinstance(document, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and type(choice.get("index", 0)) not in (int, NoneType):
            choice["index"] = -1
    return document


def _incomplete_error() -> EngineError:
    return EngineError("The upstream broke off in the middle of its answer.", code=INCOMPLETE)


class _Choice:
    """The state of one choice between its chunks."""

    __slots__ = ("_audio", "_calls", "_index", "_joiners", "_told", "reason")

    def __init__(self, index: int) -> None:
        self._index = index
        self.reason: str | None = None
        """The upstream's finish_reason."""
        self._told: FinishReason | None = None
        self._calls: CallAssembler | None = None
        self._audio: AudioReader | None = None
        self._joiners: dict[type[_Texts], SurrogateJoiner] | None = None

    def start_joining(self) -> None:
        """Look for halves from now on; until the first one appears, that work is skipped."""
        if self._joiners is None:
            self._joiners = {kind: SurrogateJoiner() for kind in (TextDelta, RefusalDelta, ReasoningDelta)}

    def read(self, choice: ChunkChoice, events: list[Event]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            reasoning = delta.reasoning_content or delta.reasoning
            if reasoning:
                self._add(ReasoningDelta, reasoning, events)
            content = delta.content
            if isinstance(content, list):
                self._read_parts(content, events)
            elif content and self._joiners is None:
                events.append(TextDelta(content, self._index, choice.logprobs))
            elif content or choice.logprobs:
                self._add_text(content or "", choice.logprobs, events)
            if delta.refusal:
                self._add(RefusalDelta, delta.refusal, events)
            if delta.tool_calls or delta.function_call or delta.audio:
                self._read_rest(delta, events)
        if choice.finish_reason:
            self.reason = choice.finish_reason

    def _add_text(self, text: str, logprobs: dict[str, Any] | None, events: list[Event]) -> None:
        if self._joiners is not None:
            text = self._joiners[TextDelta].push(text)
            logprobs = join_surrogates_in_json(logprobs)
        if text or logprobs:
            events.append(TextDelta(text, self._index, logprobs))

    def _add(self, kind: type[ReasoningDelta | RefusalDelta], text: str, events: list[Event]) -> None:
        if self._joiners is not None:
            text = self._joiners[kind].push(text)
        if text:
            events.append(kind(text, self._index))

    def _read_parts(self, parts: Iterable[ChunkContentPart], events: list[Event]) -> None:
        for part in parts:
            if part.thinking:
                self._add(ReasoningDelta, _thinking(part.thinking), events)
            if part.text:
                self._add_text(part.text, None, events)
            if part.refusal:
                self._add(RefusalDelta, part.refusal, events)

    def _read_rest(self, delta: ChunkDelta, events: list[Event]) -> None:
        calls = delta.tool_calls or []
        if delta.function_call:
            calls = [*calls, ChunkToolCall(index=0, function=delta.function_call)]
        if calls:
            self._calls = self._calls or CallAssembler(self._index)
            self._calls.read(calls, events)
        if delta.audio:
            self._audio = self._audio or AudioReader(self._index)
            self._audio.read(delta.audio, events)

    def flush(self, events: list[Event]) -> None:
        for kind, joiner in (self._joiners or {}).items():
            rest = joiner.flush()
            if rest:
                events.append(kind(rest, choice=self._index))
        if self._calls:
            self._calls.finish(events)
        if self._audio:
            self._audio.finish(events)

    def end(self, events: list[Event]) -> None:
        """Append the end of this choice, unless it was appended before. Raises if there is none."""
        if self.reason is None:
            raise _incomplete_error()
        if self.reason == "error":
            raise EngineError("The upstream failed in the middle of its answer.", upstream_failure="status")
        reason = _REASONS.get(self.reason, "stop")
        if reason == "stop" and self._calls and self._calls.has_opened_calls:
            reason = "tool_calls"
        if reason != self._told:
            self._told = reason
            events.append(Finish(reason, self._index))


def _thinking(thinking: str | list[ChunkContentPart]) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(part.text or "" for part in thinking)
