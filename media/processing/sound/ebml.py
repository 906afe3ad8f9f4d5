"""Walks through the elements of a Matroska or WebM file. Source: RFC 8794 and RFC 9559."""

import mmap
from typing import BinaryIO

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
MAX_ELEMENTS = 4_000_000
"""A browser writes at most one every 10 ms: 720,000 in two hours."""


def check_matroska(file: BinaryIO, size: int) -> int | None:
    """Return where the last element ends by its own size, or None if these are not elements.

    The result exceeds `size` if the file is cut off. Segments, and clusters of unknown size (which is how
    browsers record), are entered; other elements are skipped.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = furthest = 0
        for _ in range(MAX_ELEMENTS):
            if position >= size:
                return max(position, furthest)
            element = _read_element(data, position, size)
            if element is None:
                return None
            name, start, length = element
            if start > size:
                return start
            if length is None and name not in (SEGMENT, CLUSTER):
                return None
            if length is not None:
                furthest = max(furthest, start + length)
            is_entered = name == SEGMENT or length is None
            position = start if is_entered else start + (length or 0)
    return None


def _read_element(data: mmap.mmap, position: int, size: int) -> tuple[int, int, int | None] | None:
    """Return an element's name, where its content begins, and its length (None: unknown).

    Returns None if no element begins here.
    """
    name_bytes = 9 - data[position].bit_length()
    if name_bytes > 4:
        return None
    after = position + name_bytes
    if after >= size:
        return 0, size + 1, 0
    size_bytes = 9 - data[after].bit_length()
    if size_bytes > 8:
        return None
    start = after + size_bytes
    value = int.from_bytes(data[after:start], "big") & ((1 << 7 * size_bytes) - 1)
    is_unknown = value == (1 << 7 * size_bytes) - 1
    return int.from_bytes(data[position:after], "big"), start, None if is_unknown else value
