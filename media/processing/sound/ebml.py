"""A walk over the elements of a Matroska or WebM file. Source: RFC 8794 and RFC 9559."""

import mmap
from typing import BinaryIO

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
ELEMENTS = 4_000_000
"""A browser writes one each 10 ms at most: two hours are 720,000."""


def check_matroska(file: BinaryIO, size: int) -> int | None:
    """Where the last element ends by what it says, beyond `size` if it is cut; None if these are no elements.

    Segments and clusters of unknown size, which is how browsers record, are entered; others are
    stepped over.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = furthest = 0
        for _ in range(ELEMENTS):
            if place >= size:
                return max(place, furthest)
            head = _element(data, place, size)
            if head is None:
                return None
            name, start, length = head
            if start > size:
                return start
            if length is None and name not in (SEGMENT, CLUSTER):
                return None
            if length is not None:
                furthest = max(furthest, start + length)
            is_entered = name == SEGMENT or length is None
            place = start if is_entered else start + (length or 0)
    return None


def _element(data: mmap.mmap, place: int, size: int) -> tuple[int, int, int | None] | None:
    """Name, where the content begins, and its length (None: unknown). None where no element begins."""
    name_bytes = 9 - data[place].bit_length()
    if name_bytes > 4:
        return None
    after = place + name_bytes
    if after >= size:
        return 0, size + 1, 0
    size_bytes = 9 - data[after].bit_length()
    if size_bytes > 8:
        return None
    start = after + size_bytes
    value = int.from_bytes(data[after:start], "big") & ((1 << 7 * size_bytes) - 1)
    is_unknown = value == (1 << 7 * size_bytes) - 1
    return int.from_bytes(data[place:after], "big"), start, None if is_unknown else value
