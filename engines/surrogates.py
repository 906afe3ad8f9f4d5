"""Text that arrives in pieces: halves of a surrogate pair are held until the pair is whole.

JSON may spell a character beyond the BMP as two escapes, and some servers cut a text between
them. A half alone cannot be encoded as UTF-8, so it must not leave an engine.
"""

from typing import Any


class SurrogateJoiner:
    """Joins the pieces of one text; every text that it gives out is valid Unicode."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def push(self, piece: str) -> str:
        if not self._half and piece.isascii():
            return piece
        text = self._half + piece
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half = text[-1]
            text = text[:-1]
        return whole(text)

    def flush(self) -> str:
        """What stands for a half whose other half never came."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def whole(text: str) -> str:
    """The text with its surrogate pairs joined and U+FFFD in the place of each lone half."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_json(value: Any) -> Any:
    """`whole` for every string inside of a JSON value."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [whole_json(item) for item in value]
    if isinstance(value, dict):
        return {whole(key): whole_json(item) for key, item in value.items()}
    return value
