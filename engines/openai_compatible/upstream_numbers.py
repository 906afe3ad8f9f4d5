"""Token counts and times that an upstream sends, whatever their type."""

from typing import Any

from engines.events import PartialUsage, Usage

COUNT_LIMIT = 10_000_000
"""In tokens; more is not the count of any prompt or answer, but a mistake that would be billed."""
CONTEXT_MULTIPLE = 16
"""How many times a model's context a count may be: pictures may count for more than it holds."""
TIME_LIMIT = 253_402_300_800
"""Seconds since the epoch; the year 10000."""


def count_limit(context_length: int | None, choices: int) -> int:
    """Return the most that so many answers of a model may count for."""
    return choices * min(COUNT_LIMIT, CONTEXT_MULTIPLE * (context_length or COUNT_LIMIT))


def read_usage(wire: Any, limit: int) -> Usage | None:
    """Return the usage object of a chunk; None if it counts nothing. More than `limit` is not counted."""
    prompt_tokens = _count(wire, "prompt_tokens", limit)
    completion_tokens = _count(wire, "completion_tokens", limit)
    if not prompt_tokens and not completion_tokens:  # every call uses tokens: they were not counted
        return None
    prompt, completion = prompt_tokens or 0, completion_tokens or 0
    prompts, completions = wire.get("prompt_tokens_details"), wire.get("completion_tokens_details")
    cached = _part(prompt, prompts, "cached_tokens") or _part(prompt, wire, "prompt_cache_hit_tokens")
    reasoning = _part(completion, completions, "reasoning_tokens")
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        prompt_audio_tokens=_part(prompt - cached, prompts, "audio_tokens"),
        reasoning_tokens=reasoning,
        completion_audio_tokens=_part(completion - reasoning, completions, "audio_tokens"),
        accepted_prediction_tokens=_part(completion, completions, "accepted_prediction_tokens"),
        rejected_prediction_tokens=_part(completion, completions, "rejected_prediction_tokens"),
    )
    lacks_prompt, lacks_completion = prompt_tokens is None, completion_tokens is None
    if lacks_prompt or lacks_completion:
        return PartialUsage(
            **usage.counts, estimated=False, lacks_prompt=lacks_prompt, lacks_completion=lacks_completion
        )
    return usage


def _part(whole: int, table: Any, name: str) -> int:
    """Return a part's count, as it is billed: no more than the whole."""
    return min(_count(table, name, COUNT_LIMIT) or 0, whole)


def _count(table: Any, name: str, limit: int) -> int | None:
    """Return a count; None if it is not a plausible number of tokens."""
    value: Any = table.get(name) if isinstance(table, dict) else None
    is_count = _is_number(value) and 0 <= value <= limit and value == int(value)
    return int(value) if is_count else None


def read_time(value: Any) -> int | None:
    """Return a time in seconds since the epoch; None if the value is not one."""
    return int(value) if _is_number(value) and 0 < value < TIME_LIMIT else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
