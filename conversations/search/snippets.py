"""The words around what was found."""

from collections.abc import Sequence

from conversations.search.query import Span
from core.value import Value

BEFORE, LENGTH = 60, 240
"""Characters of a snippet before the first mark, and in all."""
_WORD_LENGTH = 20


class Piece(Value, frozen=True):
    """A part of a snippet; `is_hit` is whether it is what was asked for."""

    text: str
    is_hit: bool = False


def snippet(text: str, spans: Sequence[Span]) -> list[Piece]:
    """Return the text around the first of these spans, cut between words where there are any."""
    begin = _begin(text, spans[0].start)
    end = _end(text, begin + LENGTH)
    pieces, at = [], begin
    for span in spans:
        if span.start >= end:
            break
        pieces += [Piece(text[at : span.start]), Piece(text[span.start : min(span.end, end)], is_hit=True)]
        at = min(span.end, end)
    pieces.append(Piece(text[at:end]))
    if begin > 0:
        pieces.insert(0, Piece("…"))
    if end < len(text):
        pieces.append(Piece("…"))
    return _join(pieces)


def _begin(text: str, first: int) -> int:
    begin = max(0, first - BEFORE)
    if begin == 0:
        return 0
    space = text.find(" ", begin, min(begin + _WORD_LENGTH, first))
    return begin if space < 0 else space + 1


def _end(text: str, end: int) -> int:
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", end - _WORD_LENGTH, end)
    return end if space < 0 else space


def _join(pieces: Sequence[Piece]) -> list[Piece]:
    """Join what is alike, and show each run of white space as one space."""
    joined: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if joined and joined[-1].is_hit == piece.is_hit:
            joined[-1] = Piece(joined[-1].text + piece.text, piece.is_hit)
        else:
            joined.append(piece)
    return [Piece(_spaced(piece.text), piece.is_hit) for piece in joined]


def _spaced(text: str) -> str:
    words = " ".join(text.split())
    start = " " if text[:1].isspace() else ""
    return f"{start}{words}{' ' if text[-1:].isspace() and words else ''}"
