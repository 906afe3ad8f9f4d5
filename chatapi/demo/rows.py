"""Ids, times and JSON in the form in which rows hold them."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (as texts have it)
_VARIANT = 0x8000_0000_0000_0000

Milliseconds = int
"""Since the epoch."""


class Ids:
    """UUIDv7s of given times, drawn with a seed."""

    def __init__(self, random: Random) -> None:
        self._draw = random.getrandbits
        self._last = (0, 0)

    def at(self, moment: Milliseconds) -> str:
        """Return an id of a time; those of one time that follow each other are in their order."""
        last, number = self._last
        number = number + 1 & 0xFFF if last == moment else 0
        self._last = (moment, number)
        return f"{moment:012x}7{number:03x}{_VARIANT | self._draw(61) << 1:016x}"


def following_id(id: str, by: int = 1) -> str:
    return f"{int(id, 16) + by:032x}"


def time_text(moment: Milliseconds) -> str:
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(" ")


def as_milliseconds(moment: datetime) -> Milliseconds:
    return int(moment.timestamp() * 1000)


def as_datetime(moment: Milliseconds) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
