"""A line of text that was found in a picture."""

import msgspec

Box = tuple[int, int, int, int]


class TextLine(msgspec.Struct, frozen=True):
    """A line of one column or a cell of a table.

    `confidence` is 0 to 1. `box` is left, top, right, bottom in pixels of the picture, upright and turned so
    that its text is.
    """

    text: str
    confidence: float
    box: Box
