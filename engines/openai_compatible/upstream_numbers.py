"""Token counts and times that an upstream sends, whatever their type."""

from typing import Any

COUNT_LIMIT = 10_000_000
"""In tokens; more is not the count of any prompt or answer, but a mistake that would be billed."""
CONTEXT_MULTIPLE = 16
"""How many times a model's context a count may be: pictures may count for more than it holds."""
TIME_LIMIT = 253_402_300_800
"""Seconds since the epoch; the year 10000."""


def count_limit(context_length: int | None, choices: int) -> int:
    """Return the most that so many answers of a model may count for."""
    return choices * min(COUNT_LIMIT, CONTEXT_MULTIPLE * (context_length or COUNT_LIMIT))


def read_count(value: Any, limit: int) -> int:
    """Return a count of tokens; 0 if the value is none, or no plausible one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value <= limit else 0


def read_time(value: Any) -> int | None:
    """Return a time in seconds since the epoch; None if the value is not one."""
    return int(value) if _is_number(value) and 0 < value < TIME_LIMIT else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
