"""The tokens of one answer, from all that its upstream told of them."""

import re
from functools import reduce
from itertools import product
from typing import Any

from engines.events import PartialUsage, Usage
from engines.openai_compatible.upstream_numbers import COUNT_LIMIT, count_limit, read_count

_PROMPT = ("prompt_tokens",)
_INPUT = ("input_tokens", "prompt_token_count", "prompt_eval_count", "prompt_n")
_COMPLETION = ("completion_tokens", "output_tokens", "candidates_token_count", "eval_count", "predicted_n")
_TOTAL = ("total_tokens", "total_token_count")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cached_content_token_count")
_CACHE_READ = ("cache_read_input_tokens", "cache_read_input_token_count", "cache_n")
_CACHE_WRITTEN = (
    "cache_creation_input_tokens",
    "cache_write_input_tokens",
    "cache_write_input_token_count",
)
_REASONING = ("reasoning_tokens",)
_THOUGHTS = ("thoughts_token_count",)
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details")
_XAI = frozenset(("num_sources_used", "cost_in_usd_ticks"))
"""Members of xAI's usage, whose reasoning is never part of the completion if its total says so."""
_SIZE = 64
"""Members that a usage object may have to be looked through for other names."""
_NOTHING = Usage()
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class UsageReader:
    """The usage objects of one answer with `choices` choices, read as one.

    Counts only grow while an answer is made, and nothing that is told twice was used twice: of what is told
    again and again each count is the largest, so neither an empty usage nor a smaller one takes anything
    back. A prompt or an answer of zero tokens was not counted.

    A choice's own usage counts that choice. Where the answer as a whole was not counted, the completions of
    all choices are added up, and the prompt, which they share, is counted once.
    """

    __slots__ = ("_choices", "_limit", "_of_choices", "_timings", "_whole", "is_new")

    def __init__(self, choices: int, context_length: int | None = None) -> None:
        self.is_new = False
        """Whether something was added; whoever reads it says when it is known."""
        self._choices = choices
        self._limit = count_limit(context_length, choices)
        self._whole = _Repeated(self._limit)
        self._of_choices: dict[int, _Repeated] = {}
        self._timings: Any = None

    def add(self, wire: Any) -> None:
        """Take note of a usage object of the whole answer, whatever its type."""
        self.is_new = True
        self._whole.add(wire)

    def add_of_choice(self, wire: Any, choice: int) -> None:
        """Take note of a usage object that a choice has for itself, as Moonshot's have."""
        if choice not in self._of_choices:
            self._of_choices[choice] = _Repeated(self._limit // self._choices)
        self.is_new = True
        self._of_choices[choice].add(wire)

    def add_timings(self, wire: Any) -> None:
        """Take note of llama.cpp's timings, which count tokens even where it sends no usage."""
        self.is_new = True
        self._timings = wire

    def read(self) -> Usage | None:
        """Return what was used; None if nothing was counted, `PartialUsage` if one half was not."""
        usage = self._whole.read()
        if self._of_choices:
            usage = self._with_choices(usage, [own.read() for own in self._of_choices.values()])
        if not usage.total_tokens:
            usage = read_usage(self._timings, self._limit)
        if not usage.total_tokens:
            return None
        usage = _with_parts_inside(usage)
        if usage.prompt_tokens and usage.completion_tokens:
            return usage
        return PartialUsage(
            **usage.counts,
            estimated=False,
            lacks_prompt=not usage.prompt_tokens,
            lacks_completion=not usage.completion_tokens,
        )

    def _with_choices(self, whole: Usage, own: list[Usage]) -> Usage:
        shared = reduce(_largest, own)
        if self._choices == 1:
            return _largest(whole, shared)
        are_counted = len(own) == self._choices and all(usage.completion_tokens for usage in own)
        added = reduce(Usage.__add__, own) if are_counted else _NOTHING
        prompt, completion = (
            whole if whole.prompt_tokens else shared,
            whole if whole.completion_tokens else added,
        )
        return prompt.with_completion_of(completion)


class _Repeated:
    """What one source told again and again; objects that only go on counting are not read one by one."""

    __slots__ = ("_last", "_limit", "_usage")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last: Any = None
        self._usage = _NOTHING

    def add(self, wire: Any) -> None:
        if self._last is not None and not _goes_on(self._last, wire, self._limit):
            self._usage = self.read()
        self._last = wire

    def read(self) -> Usage:
        return _largest(self._usage, read_usage(self._last, self._limit))


def read_usage(wire: Any, limit: int) -> Usage:
    """Return what one usage object counts; a count of 0 is one that it lacks, or that is more than `limit`.

    The names are OpenAI's, or those of Anthropic, Gemini, Ollama or llama.cpp. By its name, a count is either
    part of another one (OpenAI's `…_details`) or comes on top of it (Anthropic's cached tokens on top of
    `input_tokens`, Gemini's thoughts). The total corrects that, because servers that call counts by OpenAI's
    names do not always mean the same by them:

    1. If the halves add up to the total, they are what was used.
    2. If they do so only with parts on top, these are on top: reasoning as xAI tells it, cached tokens as
       Bedrock does, sound as Mistral does. Reasoning that may as well be part of the completion, because it
       is not larger, stays a part of it, except for xAI: there are servers whose totals count it twice.
    3. If the total is larger and no reasoning was told, the difference is reasoning that was not told
       otherwise (Gemini), or sound, if its seconds were told.
    4. If the total has room for reasoning that is larger than the completion, it came on top.
    5. A half that is missing is what the total leaves for it.
    6. Otherwise the total is ignored. No part is larger than its whole.
    """
    if not isinstance(wire, dict):
        return _NOTHING
    told = _Told(wire, limit)
    if not told.prompt and not told.completion and len(wire) <= _SIZE:
        told = _Told(_under_other_names(wire), limit)
    return _with_parts_inside(told.read())


class _Told:
    """The counts of one usage object, and what they mean."""

    def __init__(self, wire: dict[str, Any], limit: int) -> None:
        prompts, completions = _tables(wire, _PROMPT_DETAILS), _tables(wire, _COMPLETION_DETAILS)
        self._limit = limit
        self._wire = wire
        self.prompt = _first(wire, _PROMPT, limit)
        counts_cache_inside = self.prompt > 0
        self.prompt = self.prompt or _first(wire, _INPUT, limit)
        self.completion = _first(wire, _COMPLETION, limit)
        self.total = _first(wire, _TOTAL, limit)
        cache_read = _largest_of([wire], _CACHE_READ)
        cache_written = _largest_of([wire], _CACHE_WRITTEN)
        thoughts = _largest_of([wire], _THOUGHTS)
        self.cached = max(cache_read, _largest_of([wire, *prompts], _CACHED))
        self.reasoning = max(thoughts, _largest_of([wire, *completions], _REASONING))
        self.sound = _largest_of(prompts, ("audio_tokens",))
        self.spoken = _largest_of(completions, ("audio_tokens",))
        self.accepted = _largest_of(completions, ("accepted_prediction_tokens",))
        self.rejected = _largest_of(completions, ("rejected_prediction_tokens",))
        cache = self.cached + cache_written
        self._prompts = [self.prompt, self.prompt + cache, self.prompt + self.sound]
        if cache_read + cache_written and not counts_cache_inside:
            self._prompts = [self.prompt + cache, self.prompt]
        self._completions = [self.completion]
        if thoughts:
            self._completions = [self.completion + self.reasoning, self.completion]
        elif self.reasoning > self.completion or not _XAI.isdisjoint(wire):
            self._completions = [self.completion, self.completion + self.reasoning]

    def read(self) -> Usage:
        prompt, completion = self._halves()
        if prompt > self._limit or completion > self._limit:
            prompt, completion = self.prompt, self.completion
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=self.cached,
            prompt_audio_tokens=self.sound,
            reasoning_tokens=self.reasoning,
            completion_audio_tokens=self.spoken,
            accepted_prediction_tokens=self.accepted,
            rejected_prediction_tokens=self.rejected,
        )

    def _halves(self) -> tuple[int, int]:
        """Return the prompt and the completion, with all that comes on top of what was told."""
        for halves in product(self._prompts, self._completions):
            if sum(halves) == self.total and all(halves):
                return halves
        prompt, completion = self._prompts[0], self._completions[0]
        rest = self.total - prompt - completion
        if rest <= 0:
            return prompt, completion
        if not prompt or not completion:
            return self._fill(prompt, completion, rest)
        if self.reasoning:
            return prompt, max(self._completions) if self.reasoning <= rest else completion
        if read_count(self._wire.get("prompt_audio_seconds"), COUNT_LIMIT):
            self.sound = max(self.sound, rest)
            return prompt + rest, completion
        self.reasoning = rest
        return prompt, completion + rest

    def _fill(self, prompt: int, completion: int, rest: int) -> tuple[int, int]:
        if prompt:
            return prompt, rest
        return (rest, completion) if completion and self.reasoning <= completion else (0, completion)


def _under_other_names(wire: dict[str, Any]) -> dict[str, Any]:
    """Return Cohere's units that are billed, or camel case as snake case."""
    units = wire.get("billed_units") or wire.get("tokens")
    table = units if isinstance(units, dict) else wire
    return {_HUMP.sub("_", name).lower(): value for name, value in table.items()}


def _tables(wire: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [table for name in names if isinstance(table := wire.get(name), dict)]


def _first(wire: dict[str, Any], names: tuple[str, ...], limit: int) -> int:
    for name in names:
        if count := read_count(wire.get(name), limit):
            return count
    return 0


def _largest_of(tables: list[dict[str, Any]], names: tuple[str, ...]) -> int:
    largest = 0
    for table in tables:
        for name in names:
            if name in table:
                largest = max(largest, read_count(table[name], COUNT_LIMIT))
    return largest


def _largest(one: Usage, other: Usage) -> Usage:
    if _NOTHING in (one, other):
        return other if one == _NOTHING else one
    theirs = other.counts
    return Usage(**{name: max(count, theirs[name]) for name, count in one.counts.items()}, estimated=False)


def _with_parts_inside(usage: Usage) -> Usage:
    """Return the usage as it is billed: no part is larger than its whole, and none is in two."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    reasoning = min(usage.reasoning_tokens, usage.completion_tokens)
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=cached,
        prompt_audio_tokens=min(usage.prompt_audio_tokens, usage.prompt_tokens - cached),
        reasoning_tokens=reasoning,
        completion_audio_tokens=min(usage.completion_audio_tokens, usage.completion_tokens - reasoning),
        accepted_prediction_tokens=min(usage.accepted_prediction_tokens, usage.completion_tokens),
        rejected_prediction_tokens=min(usage.rejected_prediction_tokens, usage.completion_tokens),
    )


def _goes_on(last: Any, wire: Any, limit: int) -> bool:
    """Return whether a usage object is the last one again, with nothing but more counted."""
    if not isinstance(last, dict) or not isinstance(wire, dict) or last.keys() != wire.keys():
        return False
    for name, after in wire.items():
        before = last[name]
        if type(before) is type(after) is int:
            if not before <= after <= limit:
                return False
        elif before != after and not _goes_on(before, after, limit):
            return False
    return True
