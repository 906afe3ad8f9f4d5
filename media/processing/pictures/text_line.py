"""A line of text found in a picture."""

import msgspec

Box = tuple[int, int, int, int]


class TextLine(msgspec.Struct, frozen=True):
    """A line of one column, or a table cell.

    `confidence` is 0 to 1. `box` is left, top, right, bottom in pixels of the upright picture, which is also
    turned if its text is upside down.
    """

    text: str
    confidence: float
    box: Box
