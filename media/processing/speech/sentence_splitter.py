"""Cuts text into sentences: a whole one, or a stream, where each leaves as early as it is sure to be one."""

import re

LIMIT = 250
"""Characters of one piece: a longer sentence is cut at a clause or a space."""
CODE_LIMIT = 1000
"""Characters of a fenced block of code that stay together in a stream."""
WRAPPED = 60
"""A line at least this long that goes on in lower case was wrapped, it does not end there."""

_LOOKAHEAD = 8
_SLACK = 16
"""What is waited for beyond the limit, so that every stop before the limit has been decided."""
_SHORTEST_CLAUSE = 60

_has_word = re.compile("[\\w\ufffc]").search
"""Signs alone are no sentence; an object in the text's stead (U+FFFC) is a word."""
_has_stop = re.compile(r"[.!?…؟।۔。！？｡\n`]").search
_STOP = re.compile(
    r"(?P<stop>[.!?…؟।۔]+)(?P<closers>[\"'”’»)\]}*_]*)"
    r"|(?P<wide>[。！？｡]+[」』”’）》】〉\"')\]]*)"
    r"|(?P<line>\n[ \t\r]*\n?)"
)
_WORD_BEFORE = re.compile(r"(?:[^\W_]|\.)+\Z")
_CLAUSE = re.compile(r".*(?:[,;:—–](?=\s)|[、，；：])", re.DOTALL)
_SPACE_AFTER_WORD = re.compile(r".*\S(?=\s)", re.DOTALL)
_FENCE = re.compile(r"(?P<indent>\s{0,100})(?P<marks>`{3,20}|~{3,20})")
_MAYBE_FENCE = re.compile(r"\s{0,100}(?:`{0,19}|~{0,19})")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(
    "mr mrs ms mx dr prof rev hon st sgt capt lt col gen gov sen rep pres mme mlle hr fr "
    "vs cf approx ca fig nr vol pp eds al bzw evtl ggf inkl vgl"
)
"""Abbreviations that a sentence goes on after."""
_SOMETIMES_LAST = _words("etc inc ltd co corp jr sr bros a.m p.m usw dept est")
"""Abbreviations after which a capital begins the next sentence."""


def sentences(text: str) -> list[str]:
    """Of a whole text: a fenced block of code is one, however long; a line of a list or a table is one.

    White space between two sentences ends the first.
    """
    cutter = SentenceCutter(code_limit=len(text))
    found: list[str] = []
    for piece in cutter.add(text) + cutter.rest():
        words = piece.lstrip() if found else piece
        if found:
            found[-1] += piece[: len(piece) - len(words)]
        if words:
            found.append(str(words))
    return found


def is_code(sentence: str) -> bool:
    """Whether it is, or begins, a fenced block."""
    return _FENCE.match(sentence) is not None


class Code(str):
    """A piece of a fenced block of code."""

    __slots__ = ()


class SentenceCutter:
    """The pieces, put together, are the text. White space between two sentences begins the second.

    A piece never depends on how the text was cut on its way in. With `breaks_lines` a line's end ends a
    sentence and a fenced block of code is one piece; without it only an empty line does.
    """

    def __init__(self, *, breaks_lines: bool = True, code_limit: int = CODE_LIMIT) -> None:
        self._breaks_lines = breaks_lines
        self._code_limit = code_limit
        self._parts: list[str] = []
        self._length = 0
        self._decided = 0  # characters of the piece in which no end is left to be decided
        self._is_unsure = breaks_lines
        self._is_first = True
        self._is_code = False
        self._fence = ""  # what opened the block of code that the piece is part of

    def add(self, text: str) -> list[str]:
        self._parts.append(text)
        self._length += len(text)
        if self._length <= LIMIT and not self._is_unsure and not _has_stop(text):
            return []
        return self._pieces(is_end=False)

    def rest(self) -> list[str]:
        """The text ends here, or is interrupted: what is left is a sentence."""
        return self._pieces(is_end=True) if self._length else []

    def _pieces(self, *, is_end: bool) -> list[str]:
        text = "".join(self._parts)
        pieces = []
        start = 0
        while start < len(text) and (end := self._end_of_piece(text, start, is_end)):
            piece = text[start:end]
            pieces.append(Code(piece) if self._is_code else piece)
            start = end
            self._decided = 0
            self._is_first = False
        self._parts = [text[start:]]
        self._length = len(text) - start
        if not self._length:
            self._is_unsure = self._breaks_lines
        return pieces

    def _end_of_piece(self, text: str, start: int, is_end: bool) -> int:
        """Where the piece that begins at `start` ends, 0 while that is not known."""
        if self._breaks_lines and not self._decided and not self._fence:
            if not is_end and _MAYBE_FENCE.fullmatch(text, start):
                self._is_unsure = True
                return 0
            fence = _FENCE.match(text, start)
            if fence and (self._is_first or "\n" in fence["indent"]):
                self._fence = fence["marks"]
                self._decided = fence.end() - start
        self._is_code = bool(self._fence)
        if self._is_code:
            return self._end_of_code(text, start, is_end)
        return self._end_of_sentence(text, start, is_end)

    def _end_of_code(self, text: str, start: int, is_end: bool) -> int:
        self._is_unsure = False
        limit = start + self._code_limit
        closing = rf"\n {{0,3}}{self._fence}{self._fence[0]}*[ \t]*"
        match = re.compile(closing + r"(?=\n)").search(text, start + self._decided, limit)
        if match is None and is_end:
            match = re.compile(closing + r"\Z").search(text, start + self._decided, limit)
        if match is not None:
            self._fence = ""
            return match.end()
        if len(text) <= limit:
            return len(text) if is_end else 0
        last_line = text.rfind("\n", start + 1, limit)
        return last_line if text[start:last_line].strip() else limit

    def _end_of_sentence(self, text: str, start: int, is_end: bool) -> int:
        limit = start + LIMIT
        self._is_unsure = False
        for match in _STOP.finditer(text, start + self._decided, limit + 1):
            if match.end() > limit:
                break
            is_last = self._is_last(text, start, match, is_end)
            if is_last:
                return match.start() if match["line"] else match.end()
            if is_last is None:
                self._decided = match.start() - start
                self._is_unsure = True
                return 0
            self._decided = match.end() - start
        if len(text) - start > (LIMIT if is_end else LIMIT + _SLACK):
            return _forced_end(text, start)
        return len(text) if is_end else 0

    def _is_last(self, text: str, start: int, match: re.Match[str], is_end: bool) -> bool | None:
        """Whether a sentence ends with this stop; None while what follows is needed to tell."""
        end = match.end()
        if not _has_word(text, start, match.start()):
            return False
        if match["line"]:
            return self._is_last_line(text, start, match, is_end)
        if end == len(text):
            return True if is_end else None
        if match["wide"]:
            return True
        if not text[end].isspace():
            return False
        stop = match["stop"]
        if stop != ".":
            needs_capital = bool(match["closers"]) or len(stop) > 2 or stop == "…"
        elif (word := _word_before(text, start, match.start())) is None:
            return False
        else:
            needs_capital = word in _SOMETIMES_LAST
        return not needs_capital or _goes_on_with_capital(text, end, is_end)

    def _is_last_line(self, text: str, start: int, match: re.Match[str], is_end: bool) -> bool | None:
        if match["line"].count("\n") == 2:
            return True
        if not self._breaks_lines:
            return None if match.end() == len(text) and not is_end else False
        line = text.rfind("\n", start, match.start()) + 1 or start
        if match.start() - line < WRAPPED:
            return True
        following = match.start() + 1
        if following == len(text):
            return True if is_end else None
        return not text[following].islower()


def _word_before(text: str, start: int, stop: int) -> str | None:
    """The word that a full stop stands after, lower case; None where the stop is only the word's own."""
    match = _WORD_BEFORE.search(text, max(start, stop - 16), stop)
    if match is None:
        return ""
    word = match[0].lower()
    if word in _SOMETIMES_LAST:
        return word
    is_number_of_list = word.isdecimal() and not text[start : match.start()].strip()
    is_initial = len(word) == 1 and match[0].isupper() and word != "i"
    is_acronym = "." in word.strip(".") and all(len(letter) <= 1 for letter in word.split("."))
    if is_number_of_list or is_initial or is_acronym or word in _NEVER_LAST:
        return None
    return word


def _goes_on_with_capital(text: str, end: int, is_end: bool) -> bool | None:
    following = text[end : end + _LOOKAHEAD].lstrip()
    if following:
        return not following[0].islower()
    return True if is_end or len(text) - end >= _LOOKAHEAD else None


def _forced_end(text: str, start: int) -> int:
    clause = _CLAUSE.match(text, start, start + LIMIT)
    if clause and clause.end() - start >= _SHORTEST_CLAUSE:
        return clause.end()
    space = _SPACE_AFTER_WORD.match(text, start, start + LIMIT)
    return space.end() if space else start + LIMIT
