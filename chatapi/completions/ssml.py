"""SSML answers: the text that goes out is a well-formed `<speak>` document, whatever the model wrote."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from chatapi.engines.values import TextDelta

# What XML 1.0 has no spelling for, not even escaped.
_NOT_XML = dict.fromkeys(
    [*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF],
)
for _allowed in (0x09, 0x0A, 0x0D):
    del _NOT_XML[_allowed]


class SpeakDocument:
    """Wraps one choice's text, piece by piece, into one `<speak>` element.

    The model's own markup is text like any other: it is escaped, so that a cut at any place leaves
    one open element, which `close` closes.
    """

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._is_open = False

    def add(self, delta: TextDelta) -> Iterator[TextDelta]:
        if not self._is_open:
            self._is_open = True
            yield TextDelta('<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis">', self._choice)
        yield TextDelta(escape(delta.text.translate(_NOT_XML)), self._choice, delta.logprobs)

    def close(self) -> Iterator[TextDelta]:
        if self._is_open:
            self._is_open = False
            yield TextDelta("</speak>", self._choice)
