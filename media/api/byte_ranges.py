"""Byte ranges of a file, as a request's headers ask for them (RFC 9110, sections 13 and 14)."""

import re
from typing import NamedTuple

MAX_RANGES = 16
_match_range = re.compile(r"([0-9]{0,18})-([0-9]{0,18})").fullmatch


class RangeNotSatisfiable(Exception):
    """None of the requested ranges is in the file."""


class Span(NamedTuple):
    """The bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str | None, size: int) -> list[Span] | None:
    """Return the spans of `size` bytes that a `Range` header asks for, in order and without overlaps.

    None means the whole file, also if the header is malformed or asks for too many pieces. Raises
    `RangeNotSatisfiable`.
    """
    unit, _, ranges = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    parts = [part.strip() for part in ranges.split(",")]
    if len(parts) > MAX_RANGES:
        return None
    spans: list[Span] = []
    for part in filter(None, parts):
        found = _match_range(part)
        if found is None or part == "-":
            return None
        first, last = found.groups()
        if first and last and int(first) > int(last):
            return None
        span = _span(first, last, size)
        if span.start < span.stop:
            spans.append(span)
    if not any(parts):
        return None
    if not spans:
        raise RangeNotSatisfiable
    return _merge(spans)


def _span(first: str, last: str, size: int) -> Span:
    if not first:
        return Span(max(0, size - int(last)), size)
    return Span(int(first), min(int(last) + 1, size) if last else size)


def _merge(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].stop:
            merged[-1] = Span(merged[-1].start, max(span.stop, merged[-1].stop))
        else:
            merged.append(span)
    return merged


def is_not_modified(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the client already has this exact file."""
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in known or known == ["*"]


def may_be_partial(if_range: str | None, etag: str) -> bool:
    """Tell whether the client's part, if it has one, is of this exact file."""
    return if_range is None or if_range.strip() == etag
