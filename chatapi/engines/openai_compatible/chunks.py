"""Turns what an upstream sends, chunk by chunk or whole, into events."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from ..base import EngineError
from ..text import SurrogateJoiner, whole_json
from ..values import (
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
)
from .calls import CallAssembler
from .errors import error_in_stream, fault_in_body
from .sound import SoundReader
from .wire import Call, Choice, Chunk, ContentPart, Delta, Tokens

_Texts = TextDelta | RefusalDelta | ReasoningDelta

_decode = msgspec.json.Decoder(Chunk).decode
_DONE = b"[DONE]"

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChunkReader:
    """Reads the chunks of one answer. `finish` gives the events that close it.

    The ends of the choices and the usage are held back until then: some upstreams repeat them,
    with other numbers, and some send more of the answer after them.
    """

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret
        self._choices: dict[int, _Choice] = {}
        self._usage: Tokens | None = None
        self.is_done = False
        """`[DONE]` was read; nothing of interest can follow."""

    @property
    def has_begun(self) -> bool:
        return bool(self._choices)

    @property
    def has_ended(self) -> bool:
        """Each choice has told why it stopped."""
        return self.has_begun and all(choice.reason is not None for choice in self._choices.values())

    def read(self, payload: bytes, events: list[Event]) -> None:
        """Append the events of one chunk (or one whole answer) to the list."""
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._read_odd(payload, events)
        else:
            self._read_chunk(chunk, payload, events)

    def _read_chunk(self, chunk: Chunk, payload: bytes, events: list[Event]) -> None:
        if chunk.error or chunk.choices is None:
            self._raise_error_in(payload)
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            index = choice.index or 0
            state = self._choices.get(index)
            if state is None:
                state = self._choices[index] = _Choice(index)
            state.read(choice, events)

    def _read_odd(self, payload: bytes, events: list[Event]) -> None:
        text = payload.strip()
        if text == _DONE:
            self.is_done = True
        elif text:
            chunk = _decode_leniently(text)
            for choice in chunk.choices or ():
                index = choice.index or 0
                self._choices.setdefault(index, _Choice(index)).join_surrogates()
            self._read_chunk(chunk, text, events)

    def _raise_error_in(self, payload: bytes) -> None:
        fault = fault_in_body(payload)
        if fault is not None:
            raise error_in_stream(fault, self._secret)

    def finish(self) -> list[Event]:
        """The rest of each choice, their ends, and the usage. Raises where the answer broke off."""
        events: list[Event] = []
        if not self._choices:
            raise EngineError("The upstream ended its answer before it began one.")
        for choice in self._choices.values():
            choice.flush(events)
        events.extend([choice.end() for _, choice in sorted(self._choices.items())])
        if self._usage is not None:
            events.append(_usage(self._usage))
        return events


def _decode_leniently(payload: bytes) -> Chunk:
    """For halves of surrogate pairs and broken UTF-8, which msgspec rightly refuses."""
    try:
        return msgspec.convert(json.loads(payload.decode("utf-8", "replace")), Chunk)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise EngineError("The upstream sent what is no chat completion.") from error


class _Choice:
    """What has to be remembered of one choice between its chunks."""

    __slots__ = ("_audio", "_calls", "_index", "_joiners", "reason")

    def __init__(self, index: int) -> None:
        self._index = index
        self.reason: str | None = None
        """The upstream's finish_reason."""
        self._calls: CallAssembler | None = None
        self._audio: SoundReader | None = None
        self._joiners: dict[type[_Texts], SurrogateJoiner] | None = None

    def join_surrogates(self) -> None:
        """From now on look for halves; until the first was met, that work is spared."""
        if self._joiners is None:
            self._joiners = {kind: SurrogateJoiner() for kind in (TextDelta, RefusalDelta, ReasoningDelta)}

    def read(self, choice: Choice, events: list[Event]) -> None:
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
            logprobs = whole_json(logprobs)
        if text or logprobs:
            events.append(TextDelta(text, self._index, logprobs))

    def _add(self, kind: type[ReasoningDelta | RefusalDelta], text: str, events: list[Event]) -> None:
        if self._joiners is not None:
            text = self._joiners[kind].push(text)
        if text:
            events.append(kind(text, self._index))

    def _read_parts(self, parts: Iterable[ContentPart], events: list[Event]) -> None:
        for part in parts:
            if part.thinking:
                self._add(ReasoningDelta, _thinking(part.thinking), events)
            if part.text:
                self._add_text(part.text, None, events)
            if part.refusal:
                self._add(RefusalDelta, part.refusal, events)

    def _read_rest(self, delta: Delta, events: list[Event]) -> None:
        calls = delta.tool_calls or []
        if delta.function_call:
            calls = [*calls, Call(index=0, function=delta.function_call)]
        if calls:
            self._calls = self._calls or CallAssembler(self._index)
            self._calls.read(calls, events)
        if delta.audio:
            self._audio = self._audio or SoundReader(self._index)
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

    def end(self) -> Finish:
        if self.reason is None:
            raise EngineError("The upstream broke off in the middle of its answer.")
        if self.reason == "error":
            raise EngineError("The upstream failed in the middle of its answer.")
        reason = _REASONS.get(self.reason, "stop")
        if reason == "stop" and self._calls and self._calls.any_opened:
            reason = "tool_calls"
        return Finish(reason, self._index)


def _thinking(thinking: str | list[ContentPart]) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(part.text or "" for part in thinking)


def _usage(tokens: Tokens) -> Usage:
    prompt, completion = tokens.prompt_tokens_details, tokens.completion_tokens_details
    cached = (prompt and prompt.cached_tokens) or tokens.prompt_cache_hit_tokens
    return Usage(
        prompt_tokens=_count(tokens.prompt_tokens),
        completion_tokens=_count(tokens.completion_tokens),
        cached_tokens=_count(cached),
        prompt_audio_tokens=_count(prompt and prompt.audio_tokens),
        reasoning_tokens=_count(completion and completion.reasoning_tokens),
        completion_audio_tokens=_count(completion and completion.audio_tokens),
        accepted_prediction_tokens=_count(completion and completion.accepted_prediction_tokens),
        rejected_prediction_tokens=_count(completion and completion.rejected_prediction_tokens),
    )


def _count(number: object) -> int:
    return max(0, int(number)) if isinstance(number, int | float) else 0
