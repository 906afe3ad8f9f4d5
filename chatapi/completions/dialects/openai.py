"""The OpenAI dialect of /v1."""

from collections.abc import Iterable, Mapping
from typing import Any

from chatapi.completions.dialects.base import Dialect
from chatapi.completions.dialects.messages import check_tool_calls_answered
from chatapi.completions.dialects.stream_encoder import (
    Delta,
    StreamEncoder,
    completion_as_json,
    sound_as_base64,
)
from chatapi.completions.schemas.openai_request import OpenAIChatCompletionRequestSerializer
from engines.answers import Answer, AnswerEnd, AnswerHead, Choice
from engines.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallArguments, ToolCallStart
from engines.messages import Message, ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall
from engines.requests import ToolChoice
from engines.usage_json import usage_as_json


class OpenAIDialect(Dialect):
    name = "openai"
    serializer = OpenAIChatCompletionRequestSerializer()

    def render(self, answer: Answer, sounds: Mapping[str, bytes]) -> dict[str, Any]:
        return completion_as_json(answer, [_choice(choice, sounds) for choice in answer.choices])

    def encoder(
        self, head: AnswerHead, *, include_usage: bool, n: int = 1, ndjson: bool = False
    ) -> "OpenAIEncoder":
        return OpenAIEncoder(head, include_usage=include_usage, n=n, ndjson=ndjson)

    def _messages(self, messages: list[Message]) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        check_tool_calls_answered(messages)
        return tuple(messages), ()

    def _include_usage(self, values: dict[str, Any]) -> bool:
        return bool(values.get("stream_options", {}).get("include_usage", False))

    def _needs_tools(self, choice: ToolChoice) -> bool:
        return True


def _choice(choice: Choice, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    logprobs = choice.logprobs and {"content": None, "refusal": None, **choice.logprobs}
    return {
        "index": choice.index,
        "message": _message(choice.message, sounds),
        "logprobs": logprobs,
        "finish_reason": choice.finish_reason,
    }


def _message(message: Message, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "role": "assistant",
        "content": _join(message, TextPart) if message.parts else "",
        "refusal": _join(message, RefusalPart),
        "annotations": [],
    }
    reasoning = _join(message, ReasoningPart)
    if reasoning is not None:
        body["reasoning_content"] = reasoning
    if message.tool_calls:
        body["tool_calls"] = [call_as_json(call) for call in message.tool_calls]
    for part in message.parts:
        if isinstance(part, SpokenPart):
            # SDKs need all four fields: a voice that cannot be played again has expired
            body["audio"] = {"expires_at": 0, "data": "", **sound_as_json(part, sounds)}
    return body


def _join(message: Message, kind: type[TextPart] | type[RefusalPart] | type[ReasoningPart]) -> str | None:
    texts = [part.text for part in message.parts if isinstance(part, kind)]
    return "".join(texts) if texts else None


def call_as_json(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def sound_as_json(part: SpokenPart, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what is known of a sound, without empty fields."""
    body: dict[str, Any] = {"id": part.id, "transcript": part.transcript}
    if part.expires_at is not None:
        body["expires_at"] = part.expires_at
    if part.blob is not None and part.blob.sha256 in sounds:
        body["data"] = sound_as_base64(sounds[part.blob.sha256])
    return body


class OpenAIEncoder(StreamEncoder):
    def __init__(self, head: AnswerHead, *, include_usage: bool, n: int, ndjson: bool) -> None:
        super().__init__(head, n=n, ndjson=ndjson)
        self._include_usage = include_usage
        self._calls: dict[int, dict[int, int]] = {}

    def _delta(self, choice: int, delta: Delta, logprobs: dict[str, Any] | None = None) -> bytes:
        return self._choice(choice, delta, logprobs, None)

    def _choice(
        self, choice: int, delta: Delta, logprobs: dict[str, Any] | None, finish_reason: str | None
    ) -> bytes:
        if logprobs is not None:
            logprobs = {"content": None, "refusal": None, **logprobs}
        return self._chunk(
            [{"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}]
        )

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self._head, "choices": choices}
        return self._frame({**chunk, "usage": usage} if self._include_usage else chunk)

    def _role(self, first: Event | None) -> Delta:
        speaks = first is None or isinstance(first, TextDelta | RefusalDelta)
        return {"role": "assistant", "content": "" if speaks else None, "refusal": None}

    def _reasoning(self, event: ReasoningDelta) -> Iterable[bytes]:
        yield self._delta(event.choice, {"reasoning_content": event.text})

    def _call_start(self, event: ToolCallStart) -> Iterable[bytes]:
        calls = self._calls.setdefault(event.choice, {})
        index = calls.setdefault(event.index, len(calls))
        call = call_as_json(ToolCall(event.id, event.name, ""))
        yield self._delta(event.choice, {"tool_calls": [{"index": index, **call}]})

    def _call_arguments(self, event: ToolCallArguments) -> bytes:
        index = self._calls[event.choice][event.index]
        fragment = {"index": index, "function": {"arguments": event.fragment}}
        return self._delta(event.choice, {"tool_calls": [fragment]})

    def _finish(self, ended: AnswerEnd) -> Iterable[bytes]:
        for finish in sorted(ended.finishes, key=lambda finish: finish.choice):
            yield self._choice(finish.choice, {}, None, finish.reason)
        if self._include_usage and ended.usage is not None:
            yield self._chunk([], usage_as_json(ended.usage))
