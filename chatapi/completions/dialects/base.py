"""The base of the dialects: requests in, answers and chunks out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from chatapi.completions.dialects.messages import MessageReader
from chatapi.completions.dialects.stream_encoder import StreamEncoder
from chatapi.completions.schemas.chat_request import ChatRequestSerializer
from chatapi.completions.schemas.parameters import PARAMETERS
from conversations.completion_request import CompletionRequest, DialectName
from conversations.tool_result_check import check_tool_results
from core.validation import exceptions
from engines.answers import Answer, AnswerHead
from engines.messages import Message
from engines.requests import AudioOutput, ResponseFormat, Tool, ToolChoice


class Dialect(ABC):
    name: ClassVar[DialectName]
    serializer: ClassVar[ChatRequestSerializer]

    def parse(self, body: dict[str, Any]) -> CompletionRequest:
        """Validate a body and return the request that it means. Raises `BadRequest` for the first error."""
        try:
            return self._request(self.serializer.run_validation(body))
        except exceptions.InvalidField as problem:
            raise problem.as_bad_request from None

    @abstractmethod
    def render(self, answer: Answer, sounds: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the body of an answer that is not streamed. `sounds` are by SHA-256."""

    @abstractmethod
    def encoder(
        self, head: AnswerHead, *, include_usage: bool, n: int = 1, ndjson: bool = False
    ) -> StreamEncoder: ...

    @abstractmethod
    def _messages(self, messages: list[Message]) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        """Return the messages merged into turns, and where each turn began; empty if none were merged."""

    def _request(self, values: dict[str, Any]) -> CompletionRequest:
        reader = MessageReader()
        messages, positions = self._messages(reader.read(values["messages"]))
        context = values.get("context")
        place = context or {}
        conversation_id = place.get("conversation_id")
        if conversation_id is None:
            check_tool_results(messages, positions=positions)
        tools = _tools(values)
        stream = values.get("stream", self.serializer.streams_by_default)
        return CompletionRequest(
            dialect=self.name,
            messages=messages,
            positions=positions,
            model=values.get("model"),
            tools=tools,
            tool_choice=self._tool_choice(values, tools),
            parallel_tool_calls=values.get("parallel_tool_calls", True),
            response_format=_response_format(values.get("response_format")),
            modalities=tuple(dict.fromkeys(values.get("modalities", ()))) or ("text",),
            audio=AudioOutput(**values["audio"]) if "audio" in values else None,
            params=_params(values),
            n=values.get("n", 1),
            stream=stream,
            include_usage=self._include_usage(values),
            ssml=values.get("ssml_enabled", False),
            metadata=values.get("metadata", {}),
            context=context,
            conversation_id=conversation_id,
            parent_message_id=place.get("parent_message_id"),
            begins_root="parent_message_id" in place and place["parent_message_id"] is None,
            regenerate=place.get("regenerate"),
            end_user=values.get("safety_identifier") or values.get("user") or "",
            on_disconnect=values.get("on_disconnect"),
            uploads=reader.uploads.bytes,
        )

    @abstractmethod
    def _include_usage(self, values: dict[str, Any]) -> bool: ...

    @abstractmethod
    def _needs_tools(self, choice: ToolChoice) -> bool:
        """Return whether this choice is refused if no tools are offered."""

    def _tool_choice(self, values: dict[str, Any], tools: tuple[Tool, ...]) -> ToolChoice | None:
        name = "tool_choice" if "tool_choice" in values else "function_call"
        choice: ToolChoice | None = values.get(name)
        if choice is None:
            return None
        if not tools:
            if self._needs_tools(choice):
                raise exceptions.wrong_value("it is only allowed where 'tools' are offered").at(name)
            return None
        offered = {tool.name for tool in tools}
        for chosen in choice.names:
            if chosen not in offered:
                raise exceptions.wrong_value(f"no tool is named {exceptions.quote_value(chosen)}").at(name)
        return choice


def _tools(values: dict[str, Any]) -> tuple[Tool, ...]:
    functions = [tool["function"] for tool in values.get("tools", ())]
    path: tuple[str, ...] = ("tools",)
    if not functions and values.get("functions"):
        functions, path = values["functions"], ("functions",)
    names: set[str] = set()
    for index, function in enumerate(functions):
        if function["name"] in names:
            below = ("function", "name") if path == ("tools",) else ("name",)
            raise exceptions.wrong_value("another tool has this name").at(*path, index, *below)
        names.add(function["name"])
    return tuple(Tool(**function) for function in functions)


def _response_format(values: dict[str, Any] | None) -> ResponseFormat | None:
    """Build the response format. In the native document, `type` and the schema's name may be absent."""
    if not values:
        return None
    schema = values.get("json_schema")
    type = values.get("type", "json_schema")
    if type != "json_schema":
        return ResponseFormat(type)
    return ResponseFormat("json_schema", **{"name": "answer", **(schema or {})})


def _params(values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters, without those that ask for nothing."""
    params = {name: values[name] for name in PARAMETERS if name in values}
    for name in ("logprobs", "logit_bias"):
        if name in params and not params[name]:
            del params[name]
    return params
