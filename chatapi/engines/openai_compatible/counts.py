"""Numbers that an upstream tells: token counts and times, of whatever type it sent them."""

from typing import Any

from ..values import Usage

COUNT_LIMIT = 2**31 - 1
"""What a column of the database holds."""
TIME_LIMIT = 253_402_300_800
"""Seconds since the epoch; the year 10000."""


def usage_in(wire: Any) -> Usage | None:
    """The usage object of a chunk; None where it counts nothing."""
    prompt_tokens, completion_tokens = _count(wire, "prompt_tokens"), _count(wire, "completion_tokens")
    if prompt_tokens is None and completion_tokens is None:
        return None
    prompt, completion = wire.get("prompt_tokens_details"), wire.get("completion_tokens_details")
    cached = _count(prompt, "cached_tokens") or _count(wire, "prompt_cache_hit_tokens")
    return Usage(
        prompt_tokens=prompt_tokens or 0,
        completion_tokens=completion_tokens or 0,
        cached_tokens=cached or 0,
        prompt_audio_tokens=_count(prompt, "audio_tokens") or 0,
        reasoning_tokens=_count(completion, "reasoning_tokens") or 0,
        completion_audio_tokens=_count(completion, "audio_tokens") or 0,
        accepted_prediction_tokens=_count(completion, "accepted_prediction_tokens") or 0,
        rejected_prediction_tokens=_count(completion, "rejected_prediction_tokens") or 0,
    )


def _count(table: Any, name: str) -> int | None:
    value: Any = table.get(name) if isinstance(table, dict) else None
    return int(min(max(value, 0), COUNT_LIMIT)) if _is_number(value) else None


def time_in(value: Any) -> int | None:
    """Seconds since the epoch; None where the value is no such time."""
    return int(value) if _is_number(value) and 0 < value < TIME_LIMIT else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
