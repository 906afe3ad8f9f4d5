"""Conversion of a request's validated messages; `param` paths stay those of the client's own list."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.validation import exceptions
from engines.messages import FilePart, Message, Part, RefusalPart, SpokenPart, TextPart, ToolCall
from media.inline_media import Uploads

Content = str | list[dict[str, Any]] | None


class MessageReader:
    """Reads the messages of one request, and collects their inline media in `uploads`."""

    def __init__(self) -> None:
        self.uploads = Uploads()
        self._open_functions: dict[str, str] = {}

    def read(self, messages: list[dict[str, Any]]) -> list[Message]:
        values = []
        for index, data in enumerate(messages):
            try:
                values.append(self._readers[_kind(data)](self, data, index))
            except exceptions.InvalidField as problem:
                raise problem.at("messages", index) from None
        return values

    def _system(self, data: dict[str, Any], index: int) -> Message:
        return Message("system", self._content(data["content"]), data.get("name"))

    def _user(self, data: dict[str, Any], index: int) -> Message:
        return Message("user", self._content(data["content"]), data.get("name"))

    def _tool(self, data: dict[str, Any], index: int) -> Message:
        return Message("tool", self._content(data["content"]), tool_call_id=data["tool_call_id"])

    def _assistant(self, data: dict[str, Any], index: int) -> Message:
        parts = list(self._content(data.get("content") or None))
        if refusal := data.get("refusal"):
            parts.append(RefusalPart(refusal))
        if audio_id := (data.get("audio") or {}).get("id"):
            parts.append(SpokenPart(audio_id))
        parts += [_call(call) for call in data.get("tool_calls", ())]
        if function := data.get("function_call"):
            parts.append(self._open_function(function, index))
        return Message("assistant", tuple(parts), data.get("name"))

    def _open_function(self, function: dict[str, Any], index: int) -> ToolCall:
        """Read a deprecated call. It carries no id, so one is made from its position."""
        call_id = f"call_function_{index}"
        self._open_functions[function["name"]] = call_id
        return ToolCall(call_id, function["name"], function["arguments"])

    def _function(self, data: dict[str, Any], index: int) -> Message:
        call_id = self._open_functions.get(data["name"])
        if call_id is None:
            raise exceptions.wrong_value("no 'function_call' before it has this name").at("name")
        return Message("tool", self._content(data.get("content") or ""), tool_call_id=call_id)

    def _content(self, content: Content) -> tuple[Part, ...]:
        if content is None:
            return ()
        if isinstance(content, str):
            return (TextPart(content),)
        if not content:
            return (TextPart(""),)
        return tuple(self._part(data, index) for index, data in enumerate(content))

    def _part(self, data: dict[str, Any], index: int) -> Part:
        kind = data["type"]
        try:
            return self._parts[kind](self, data[kind])
        except exceptions.InvalidField as problem:
            raise problem.at("content", index, kind) from None

    def _image(self, image: dict[str, Any]) -> Part:
        if "url" not in image:
            return FilePart(file_id=image["file_id"], stands_for="image_url", detail=image.get("detail"))
        return self.uploads.image(image["url"], image.get("detail"))

    def _sound(self, sound: dict[str, Any]) -> Part:
        if "data" not in sound:
            return FilePart(file_id=sound["file_id"], stands_for="input_audio")
        return self.uploads.sound(sound["data"], sound.get("format") or "")

    def _file(self, file: dict[str, Any]) -> Part:
        try:
            return self.uploads.file(file.get("file_data"), file.get("filename"), file.get("file_id"))
        except exceptions.InvalidField as problem:
            raise problem.at("file_data") from None

    _readers: Mapping[str, Callable[["MessageReader", dict[str, Any], int], Message]] = {
        "system": _system,
        "developer": _system,
        "user": _user,
        "assistant": _assistant,
        "tool": _tool,
        "function": _function,
    }
    _parts: Mapping[str, Callable[["MessageReader", Any], Part]] = {
        "text": lambda _, text: TextPart(text),
        "refusal": lambda _, text: RefusalPart(text),
        "image_url": _image,
        "input_audio": _sound,
        "file": _file,
    }


def _kind(data: dict[str, Any]) -> str:
    """Return the message's kind. The document's assistant has the role `system`, but has calls or audio."""
    role: str = data["role"]
    return "assistant" if data.get("tool_calls") or data.get("audio") else role


def _call(call: dict[str, Any]) -> ToolCall:
    return ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])


def merge_turns(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[int, ...]]:
    """Merge consecutive assistant messages that carry one call each; return where each began, too."""
    turns: list[list[Message]] = []
    positions: list[int] = []
    for position, message in enumerate(messages):
        if turns and _carries_one_call(message) and _carries_one_call(turns[-1][-1]):
            turns[-1].append(message)
        else:
            turns.append([message])
            positions.append(position)
    return tuple(_merge(turn) if len(turn) > 1 else turn[0] for turn in turns), tuple(positions)


def _carries_one_call(message: Message) -> bool:
    return message.role == "assistant" and len(message.tool_calls) == 1


def _merge(turn: list[Message]) -> Message:
    other_parts = [part for message in turn for part in message.parts if not isinstance(part, ToolCall)]
    calls = [call for message in turn for call in message.tool_calls]
    return Message("assistant", (*other_parts, *calls), turn[0].name)


def check_tool_calls_answered(messages: Sequence[Message]) -> None:
    """Check that each tool call has a tool message before the conversation goes on. Raises `InvalidField`."""
    open_calls: dict[str, None] = {}
    position = 0
    for index, message in enumerate(messages):
        if message.role == "tool":
            open_calls.pop(message.tool_call_id or "", None)
        elif open_calls and message.role != "system":
            break
        if message.tool_calls:
            open_calls = dict.fromkeys(call.id for call in message.tool_calls)
            position = index
    if open_calls:
        unanswered = ", ".join(open_calls)[:200]
        reason = (
            f"each tool call must be answered by a tool message before the talk goes on, not so: {unanswered}"
        )
        raise exceptions.wrong_value(reason).at("messages", position, "tool_calls")
