"""The native dialect: the OpenAPI document to the letter (tests/contract/openapi.yaml).

A message has one tool call, so parallel calls become choices of their own. There are no nulls anywhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatapi.completions.dialects.base import Dialect
from chatapi.completions.dialects.messages import merge_turns
from chatapi.completions.dialects.openai import call_as_json, sound_as_json
from chatapi.completions.dialects.stream_encoder import (
    Delta,
    StreamEncoder,
    completion_as_json,
)
from chatapi.completions.schemas.native_request import ChatCompletionRequestSerializer
from engines.answers import Answer, AnswerEnd, AnswerHead, Choice
from engines.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallArguments, ToolCallStart
from engines.messages import Message, RefusalPart, SpokenPart, ToolCall
from engines.requests import ToolChoice
from engines.usage_json import usage_as_json


class NativeDialect(Dialect):
    name = "native"
    serializer = ChatCompletionRequestSerializer()

    def render(self, answer: Answer, sounds: Mapping[str, bytes]) -> dict[str, Any]:
        choices = [_choice(choice, sounds) for choice in answer.choices]
        extras = [extra for choice in answer.choices for extra in _extra_calls(choice)]
        first_free = max((choice.index for choice in answer.choices), default=-1) + 1
        numbered = ({"index": index, **extra} for index, extra in enumerate(extras, first_free))
        return completion_as_json(answer, [*choices, *numbered])

    def encoder(
        self, head: AnswerHead, *, include_usage: bool, n: int = 1, ndjson: bool = False
    ) -> "NativeEncoder":
        """`include_usage` makes no difference: the last chunk always carries the usage."""
        return NativeEncoder(head, n=n, ndjson=ndjson)

    def _messages(self, messages: list[Message]) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        merged, positions = merge_turns(messages)
        return merged, positions if len(merged) < len(messages) else ()

    def _include_usage(self, values: dict[str, Any]) -> bool:
        return True

    def _needs_tools(self, choice: ToolChoice) -> bool:
        """Return whether tools are required.

        The document always allows `auto` and `none`, and they mean nothing without tools.
        """
        return choice.mode == "required"


def _choice(choice: Choice, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    body: dict[str, Any] = {"index": choice.index, "message": _message(choice.message, sounds)}
    if choice.logprobs is not None:
        body["logprobs"] = without_nulls(choice.logprobs)
    return {**body, **_reason(choice)}


def _reason(choice: Choice) -> dict[str, Any]:
    return {} if choice.finish_reason is None else {"finish_reason": choice.finish_reason}


def _extra_calls(choice: Choice) -> Iterator[dict[str, Any]]:
    for call in choice.message.tool_calls[1:]:
        yield {"message": {"role": "assistant", "tool_calls": call_as_json(call)}, **_reason(choice)}


def _message(message: Message, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": "assistant"}
    refusals = [part.text for part in message.parts if isinstance(part, RefusalPart)]
    spoken = [part for part in message.parts if isinstance(part, SpokenPart)]
    if message.text or not (message.tool_calls or refusals or spoken):
        body["content"] = message.text
    if refusals:
        body["refusal"] = "".join(refusals)
    if message.tool_calls:
        body["tool_calls"] = call_as_json(message.tool_calls[0])
    if spoken:
        body["audio"] = sound_as_json(spoken[-1], sounds)
    return body


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


class NativeEncoder(StreamEncoder):
    def __init__(self, head: AnswerHead, *, n: int, ndjson: bool) -> None:
        super().__init__(head, n=n, ndjson=ndjson)
        self._calls: dict[tuple[int, int], int] = {}
        self._extra_choices: dict[int, int] = {}
        """The choices made for a second, third … call, and the choice that each belongs to."""

    def _delta(self, choice: int, delta: Delta, logprobs: dict[str, Any] | None = None) -> bytes:
        body: dict[str, Any] = {"index": choice, "delta": delta}
        if logprobs is not None:
            body["logprobs"] = without_nulls(logprobs)
        return self._frame({**self._head, "choices": [body]})

    def _role(self, first: Event | None) -> Delta:
        speaks = first is None or isinstance(first, TextDelta | RefusalDelta)
        return {"role": "assistant", "content": ""} if speaks else {"role": "assistant"}

    def _reasoning(self, event: ReasoningDelta) -> Iterable[bytes]:
        return ()

    def _call_start(self, event: ToolCallStart) -> Iterable[bytes]:
        is_first = all(choice != event.choice for choice, _ in self._calls)
        target = event.choice
        if not is_first:
            target = max(self._n, *(choice + 1 for choice in (*self._texts, *self._extra_choices)))
            self._extra_choices[target] = event.choice
            yield self._delta(target, {"role": "assistant"})
        self._calls[event.choice, event.index] = target
        yield self._delta(target, {"tool_calls": call_as_json(ToolCall(event.id, event.name, ""))})

    def _call_arguments(self, event: ToolCallArguments) -> bytes:
        target = self._calls[event.choice, event.index]
        return self._delta(target, {"tool_calls": {"function": {"arguments": event.fragment}}})

    def _finish(self, ended: AnswerEnd) -> Iterable[bytes]:
        reasons = {finish.choice: finish.reason for finish in ended.finishes}
        reasons |= {choice: reasons[origin] for choice, origin in self._extra_choices.items()}
        *others, last = sorted(reasons)
        for choice in others:
            yield self._frame(self._finish_chunk(choice, reasons[choice]))
        usage = {} if ended.usage is None else {"usage": usage_as_json(ended.usage)}
        yield self._frame({**self._finish_chunk(last, reasons[last]), **usage})

    def _finish_chunk(self, choice: int, reason: str) -> dict[str, Any]:
        return {**self._head, "choices": [{"index": choice, "delta": {}, "finish_reason": reason}]}
