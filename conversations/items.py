"""Items: a stored message as OpenAI shows it, which is as several."""

from typing import NamedTuple

from conversations.item_ids import ItemId
from conversations.models import Message
from core.ids import FUNCTION_CALL, FUNCTION_OUTPUT, MESSAGE, REASONING
from engines.messages import ReasoningPart, ToolCall


class Item(NamedTuple):
    """One item; `ends_message` is whether it is the last one of its message."""

    id: ItemId
    message: Message
    ends_message: bool


def items_of(message: Message) -> list[Item]:
    """Return a message's items: its reasoning, its content, and each of its calls.

    There is always one: of a message without any parts, its empty content.
    """
    if message.role == Message.Role.TOOL:
        return [Item(ItemId(FUNCTION_OUTPUT, message.id), message, ends_message=True)]
    calls = sum(isinstance(part, ToolCall) for part in message.parts)
    reasoning = any(isinstance(part, ReasoningPart) for part in message.parts)
    has_content = any(not isinstance(part, ToolCall | ReasoningPart) for part in message.parts)
    ids = [
        *([ItemId(REASONING, message.id)] if reasoning else []),
        *([ItemId(MESSAGE, message.id)] if has_content or not message.parts else []),
        *(ItemId(FUNCTION_CALL, message.id, call) for call in range(calls)),
    ]
    return [Item(id, message, ends_message=id is ids[-1]) for id in ids]
