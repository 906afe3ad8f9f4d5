"""Whether a text that arrives in pieces is one complete JSON object yet, found out in linear time."""

import re

import msgspec

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
"""A string, closed or cut off by the end of the text; the group is what ends it."""
_WHITESPACE = " \t\r\n"


class ObjectScanner:
    """A scanner that counts brackets outside strings and parses once, when all opened ones are closed.

    If that parse fails, no further text can make it valid JSON, so there is no second one.
    """

    __slots__ = ("_depth", "_is_settled", "_pieces", "_string", "is_whole")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._depth = 0
        self._string = ""
        """The beginning of the string in which the last piece ended: its quote, perhaps a backslash."""
        self._is_settled = False
        self.is_whole = False

    def feed(self, text: str) -> None:
        if self._is_settled:
            self.is_whole = self.is_whole and not text.strip(_WHITESPACE)
            return
        self._pieces.append(text)
        outside = self._without_strings(text)
        opened = outside.count("{") + outside.count("[")
        closed = outside.count("}") + outside.count("]")
        self._depth += opened - closed
        if (opened or closed) and self._depth <= 0 and not self._string:
            self._settle()

    def _without_strings(self, text: str) -> str:
        parts = _STRING.split(self._string + text)
        end = parts[-2] if len(parts) > 1 else '"'
        self._string = "" if end == '"' else '"' + end
        return "".join(parts[::2])

    def _settle(self) -> None:
        self._is_settled = True
        text = "".join(self._pieces)
        self._pieces.clear()
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return
        self.is_whole = text.lstrip(_WHITESPACE).startswith("{")
