"""Long pictures in pieces, each of which can be read. Imported by job functions only."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

WINDOW = 0.25
"""The share of a piece in which the plainest place for its end is looked for: between lines, or words."""
BAND = 9
"""Pixels that are to be plain there, one after the other."""


def pieces(image: Image.Image, side: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Each with its left and top in `image`; one that has no more than `side` pixels a side is whole."""
    if max(image.size) <= side:
        yield 0, 0, image
    elif image.width > image.height:
        for start, end in _cuts(_unrest(image, axis=0), side):
            yield start, 0, image.crop((start, 0, end, image.height))
    else:
        for start, end in _cuts(_unrest(image, axis=1), side):
            yield 0, start, image.crop((0, start, image.width, end))


def _cuts(unrest: np.ndarray, side: int) -> Iterator[tuple[int, int]]:
    start, length = 0, len(unrest)
    while length - start > side:
        first = start + round(side * (1 - WINDOW))
        end = first + _plainest(unrest[first : start + side])
        yield start, end
        start = end
    yield start, length


def _plainest(unrest: np.ndarray) -> int:
    """The middle of the last of the bands with the least in them."""
    bands = np.convolve(unrest, np.ones(BAND), mode="valid")
    return int(np.flatnonzero(bands <= bands.min() + 1e-6)[-1]) + BAND // 2


def _unrest(image: Image.Image, *, axis: int) -> np.ndarray:
    """How much each column (axis 0) or row (axis 1) of it changes along itself."""
    grey = np.asarray(image.convert("L"), dtype=np.int16)
    return np.asarray(np.abs(np.diff(grey, axis=axis)).sum(axis=axis, dtype=np.int64))
