"""The tokenizer of the search: one for all databases, and for texts and queries alike.

Words are folded: case, accents, width. Scripts that are written without spaces, or in which words are short,
become pairs of characters that overlap: trigrams would find nothing for two characters.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import chain
from operator import add
from typing import NamedTuple

MAX_TEXT = 200_000
"""Characters of a text that are searched."""
MAX_WORD = 40
"""Characters of a word that tell it from others."""
MAX_CACHED_PIECE = 24

# Thai, Lao, Myanmar, Khmer; Hangul; Kana and Bopomofo; Han
_PAIRED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_PAIRED}]+|[^{_PAIRED}]+")
_ASCII_WORD = re.compile("[0-9a-z]+")
# accents of Latin, Greek and Cyrillic letters; points of Hebrew; vowels and the stretching line of Arabic
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_UNDECOMPOSED = str.maketrans(
    {"đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ø": "o", "ŧ": "t", "æ": "ae", "œ": "oe"}
)


class Token(NamedTuple):
    """A word, or a pair of characters, of a text. `position` counts words, and characters of pairs."""

    word: str
    position: int
    start: int
    end: int


def words_of(text: str) -> set[str]:
    """Return the words of a text, each once."""
    text = text[:MAX_TEXT]
    if text.isascii():
        return {word[:MAX_WORD] for word in _ASCII_WORD.findall(text.lower())}
    return set(chain.from_iterable(map(_words, _pieces().findall(text))))


def _words(piece: str) -> Iterable[str]:
    return _words_cached(piece) if len(piece) <= MAX_CACHED_PIECE else _words_of_piece(piece)


@lru_cache(65_536)
def _words_cached(piece: str) -> tuple[str, ...]:
    return tuple(_words_of_piece(piece))


def _words_of_piece(piece: str) -> Iterable[str]:
    """Return the words that `_tokens_of_piece` yields, but at the speed of an index."""
    runs = chain.from_iterable(map(_RUN.findall, _pieces().findall(fold(piece))))
    return chain.from_iterable(
        chain(map(add, run, run[1:]), run[-1]) if is_paired(run) else (run[:MAX_WORD],) for run in runs
    )


def words_in_order(text: str) -> list[str]:
    """Return the words of all tokens of a text, where a word's index is its position."""
    if text.isascii():
        return [word[:MAX_WORD] for word in _ASCII_WORD.findall(text[:MAX_TEXT].lower())]
    return [token.word for token in tokens_of(text)]


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the tokens of a text in their order, with where they stand in it."""
    position = 0
    for piece in _pieces().finditer(text[:MAX_TEXT]):
        start, size = piece.start(), 0
        for word, offset, first, last in _tokens_of_piece(piece[0]):
            yield Token(word, position + offset, start + first, start + last)
            size = max(size, offset + 1)
        position += size


class _Folded(NamedTuple):
    """A token of a piece: its position, and where in the piece it begins and ends."""

    word: str
    position: int
    start: int
    end: int


def _tokens_of_piece(piece: str) -> Iterator[_Folded]:
    text, position = fold(piece), 0
    is_mapped = len(text) == len(piece)  # else nobody knows which letter became which
    for start, end in _runs(text):
        if is_paired(text[start]):
            # the last character alone as well: whoever asks for one character asks how pairs begin
            for at in range(start, end):
                last = min(at + 2, end)
                span = (at, last) if is_mapped else (0, len(piece))
                yield _Folded(text[at:last], position + at - start, *span)
            position += end - start
        else:
            span = (start, end) if is_mapped else (0, len(piece))
            yield _Folded(text[start:end][:MAX_WORD], position, *span)
            position += 1


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield where runs of one kind of letters are in a folded text, which may have got spaces and signs."""
    for part in _pieces().finditer(text):
        for run in _RUN.finditer(text, *part.span()):
            yield run.span()


def fold(text: str) -> str:
    """Fold case, width and accents."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    if text.isascii():
        return text
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", bare).translate(_UNDECOMPOSED)


_match_paired = re.compile(f"[{_PAIRED}]").match


def is_paired(word: str) -> bool:
    """Tell whether a word is of a script that is indexed in pairs."""
    return _match_paired(word) is not None


@cache
def _pieces() -> re.Pattern[str]:
    """Return what finds runs of letters, digits and the marks that belong to them.

    `re` knows no marks: without them the vowels of Thai and Hindi would part their words. Marks that make an
    emoji of a sign belong to no word.
    """
    marks = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"]
    marks = [code for code in marks if not (0x20D0 <= code < 0x2100 or 0xFE00 <= code < 0xFE10)]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return re.compile("(?:[^\\W_]|[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges) + "])+")
