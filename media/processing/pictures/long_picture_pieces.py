"""Splits long pictures into pieces that can be read one by one. Imported only by job functions."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

WINDOW = 0.25
"""The last share of a piece, in which the plainest place to cut is sought: between lines, or words."""
BAND = 9
"""How many consecutive rows or columns of pixels should be plain there."""


def split_into_pieces(image: Image.Image, side: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Yield each piece with its left and top in `image`.

    A picture of at most `side` pixels a side is one piece.
    """
    if max(image.size) <= side:
        yield 0, 0, image
    elif image.width > image.height:
        for start, end in _cut(_measure_variation(image, axis=0), side):
            yield start, 0, image.crop((start, 0, end, image.height))
    else:
        for start, end in _cut(_measure_variation(image, axis=1), side):
            yield 0, start, image.crop((0, start, image.width, end))


def _cut(variation: np.ndarray, side: int) -> Iterator[tuple[int, int]]:
    start, length = 0, len(variation)
    while length - start > side:
        first = start + round(side * (1 - WINDOW))
        end = first + _find_plainest(variation[first : start + side])
        yield start, end
        start = end
    yield start, length


def _find_plainest(variation: np.ndarray) -> int:
    """Return the middle of the last of the bands with the least variation."""
    bands = np.convolve(variation, np.ones(BAND), mode="valid")
    return int(np.flatnonzero(bands <= bands.min() + 1e-6)[-1]) + BAND // 2


def _measure_variation(image: Image.Image, *, axis: int) -> np.ndarray:
    """Return how much each column (axis 0) or row (axis 1) changes along its length."""
    gray = np.asarray(image.convert("L"), dtype=np.int16)
    return np.asarray(np.abs(np.diff(gray, axis=axis)).sum(axis=axis, dtype=np.int64))
