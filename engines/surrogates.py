"""Surrogate pairs in text that arrives in pieces: a half is held until its pair is complete.

JSON may spell a character beyond the BMP as two escapes, and some servers cut a text between them. A lone
half cannot be encoded as UTF-8, so it must not leave an engine.
"""

from typing import Any


class SurrogateJoiner:
    """A joiner of one text's pieces; all text that it returns is valid Unicode."""

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
        return join_surrogates(text)

    def flush(self) -> str:
        """Return U+FFFD for a half whose other half never came, else nothing."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def join_surrogates(text: str) -> str:
    """Join the text's surrogate pairs and replace each lone half with U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def join_surrogates_in_json(value: Any) -> Any:
    """Apply `join_surrogates` to every string in a JSON value."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [join_surrogates_in_json(item) for item in value]
    if isinstance(value, dict):
        return {join_surrogates(key): join_surrogates_in_json(item) for key, item in value.items()}
    return value
