"""Ids of items. A stored message is shown as several, whose ids are made of the message's."""

from typing import NamedTuple
from uuid import UUID

from core.ids import FUNCTION_CALL, FUNCTION_OUTPUT, MESSAGE, REASONING, parse_id

_ID_LENGTH = 32


class ItemId(NamedTuple):
    """An item: which kind of which message, and for calls which of its calls."""

    prefix: str
    message_id: UUID
    call: int = 0

    def __str__(self) -> str:
        number = f"_{self.call}" if self.call else ""
        return f"{self.prefix}{self.message_id.hex}{number}"


def parse_item_id(text: str) -> ItemId | None:
    """Return the item behind a public id; None if it cannot be one of ours."""
    for prefix in (MESSAGE, REASONING, FUNCTION_OUTPUT, FUNCTION_CALL):
        if not text.startswith(prefix):
            continue
        ending = len(prefix) + _ID_LENGTH
        message_id = parse_id(prefix, text[:ending])
        number = text[ending:]
        if message_id is None or (number and prefix != FUNCTION_CALL):
            return None
        if not number:
            return ItemId(prefix, message_id)
        digits = number[1:]
        is_number = number[0] == "_" and digits.isascii() and digits.isdecimal() and digits[0] != "0"
        return ItemId(prefix, message_id, int(digits)) if is_number and len(digits) < 6 else None
    return None


def parse_message_id(text: str) -> UUID | None:
    """Return the id of the stored message that an item belongs to."""
    item = parse_item_id(text)
    return item.message_id if item else None
