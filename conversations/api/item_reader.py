"""Validated items as the messages that are stored: what belongs to one turn of the assistant is one."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from conversations.part_paths import EDIT_PATHS
from conversations.running_answers import UnresolvedMessages
from core.exceptions import BadRequest
from core.validation import exceptions
from engines.messages import (
    FilePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
)
from media.inline_media import Uploads

Placed = tuple[int, Mapping[str, Any]]
"""An item and its position in the client's list."""


def read_items(items: Sequence[Mapping[str, Any]]) -> UnresolvedMessages:
    """Read items as messages. Raises `BadRequest`."""
    uploads = Uploads()
    read = [(turn[0][0], _message(turn, uploads)) for turn in _turns(items)]
    kept = [(position, message) for position, message in read if message is not None]
    if not kept:
        raise BadRequest("Invalid value for 'items': there is nothing in them to keep.", param="items")
    positions, messages = zip(*kept, strict=True)
    return UnresolvedMessages(messages, uploads.bytes, positions)


def read_edit(edited: Message, content: str | list[dict[str, Any]]) -> UnresolvedMessages:
    """Read another content for a message, which keeps its reasoning and its calls. Raises `BadRequest`."""
    uploads = Uploads()
    try:
        parts = _content(content, edited.role, uploads)
    except exceptions.InvalidField as problem:
        raise problem.as_bad_request from None
    reasoning = (part for part in edited.parts if isinstance(part, ReasoningPart))
    parts = (*reasoning, *parts, *edited.tool_calls)
    message = Message(edited.role, parts, edited.name, edited.tool_call_id)
    return UnresolvedMessages((message,), uploads.bytes, paths=EDIT_PATHS)


def _turns(items: Sequence[Mapping[str, Any]]) -> list[list[Placed]]:
    """Group the items that are one message: reasoning, an answer and its calls, if they follow each other."""
    turns: list[list[Placed]] = []
    for placed in enumerate(items):
        last = turns[-1] if turns else []
        if not (last and _is_assistants(placed) and _is_assistants(last[-1])):
            turns.append([placed])
        elif _kind(placed) == "message" and any(_kind(one) == "message" for one in last):
            thoughts: list[Placed] = []
            while _kind(last[-1]) == "reasoning":
                thoughts.insert(0, last.pop())
            turns.append([*thoughts, placed])
        else:
            last.append(placed)
    return turns


def _kind(placed: Placed) -> str:
    kind: str = placed[1].get("type", "message")
    return kind


def _is_assistants(placed: Placed) -> bool:
    return _kind(placed) in ("reasoning", "function_call") or placed[1].get("role") == "assistant"


def _message(turn: Sequence[Placed], uploads: Uploads) -> Message | None:
    """Return the message that these items are; None for reasoning that says nothing."""
    reasoning: list[Part] = []
    content: tuple[Part, ...] | None = None
    calls: list[Part] = []
    role, name, call_id = "assistant", None, None
    for position, item in turn:
        match _kind((position, item)):
            case "reasoning":
                texts = item.get("content") or item.get("summary") or ()
                reasoning += (ReasoningPart(one["text"]) for one in texts)
            case "function_call":
                calls.append(ToolCall(item["call_id"], item["name"], item["arguments"]))
            case "function_call_output":
                role, call_id = "tool", item["call_id"]
                content = _content(item["output"], role, uploads)
            case _:
                role, name = "system" if item["role"] == "developer" else item["role"], item.get("name")
                content = _placed_content(item["content"], role, uploads, position)
    if content is None and not reasoning and not calls:
        return None
    return Message(cast("Role", role), (*reasoning, *(content or ()), *calls), name, call_id)


def _placed_content(
    content: str | list[dict[str, Any]], role: str, uploads: Uploads, position: int
) -> tuple[Part, ...]:
    try:
        return _content(content, role, uploads)
    except exceptions.InvalidField as problem:
        raise problem.at("items", position).as_bad_request from None


def _content(content: str | list[dict[str, Any]], role: str, uploads: Uploads) -> tuple[Part, ...]:
    """Read content as /v1/chat/completions reads it, so that a history that is sent there is found."""
    if not content:
        return () if role == "assistant" else (TextPart(""),)
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(part, index, uploads) for index, part in enumerate(content))


def _part(part: Mapping[str, Any], index: int, uploads: Uploads) -> Part:
    try:
        match part["type"]:
            case "refusal":
                return RefusalPart(part["refusal"])
            case "input_image":
                return _image(part, uploads)
            case "input_file":
                return _file(part, uploads)
            case _:
                return TextPart(part["text"])
    except exceptions.InvalidField as problem:
        raise problem.at("content", index) from None


def _image(part: Mapping[str, Any], uploads: Uploads) -> Part:
    detail = part.get("detail")
    if "image_url" not in part:
        return FilePart(file_id=part["file_id"], stands_for="image_url", detail=detail)
    try:
        return uploads.image(part["image_url"], detail)
    except exceptions.InvalidField as problem:
        raise problem.at("image_url") from None


def _file(part: Mapping[str, Any], uploads: Uploads) -> Part:
    try:
        return uploads.file(part.get("file_data"), part.get("filename"), part.get("file_id"))
    except exceptions.InvalidField as problem:
        raise problem.at("file_data") from None
