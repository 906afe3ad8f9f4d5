"""A sentence splitter for whole texts, and for streams, which releases a sentence once its end is certain."""

import re

PIECE_LIMIT = 250
"""The most characters in one piece: a longer sentence is cut at a clause or a space."""
CODE_LIMIT = 1000
"""The most characters of a fenced code block that a stream keeps in one piece."""
WRAPPED_LINE_LENGTH = 60
"""A line at least this long was wrapped, and does not end its sentence, if the next starts in lower case."""

_LOOKAHEAD = 8
_SLACK = 16
"""Characters to wait for beyond the limit, so that every stop before the limit has been decided."""
_SHORTEST_CLAUSE = 60

_has_word = re.compile("[\\w\ufffc]").search
"""Punctuation alone is not a sentence; the object replacement character (U+FFFC) counts as a word."""
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
"""Abbreviations that never end a sentence."""
_SOMETIMES_LAST = _words("etc inc ltd co corp jr sr bros a.m p.m usw dept est")
"""Abbreviations that end a sentence if a capital follows."""


def split_sentences(text: str) -> list[str]:
    """Split a whole text into sentences.

    A fenced code block is one sentence, however long, and so is each line of a list or a table. White space
    between two sentences belongs to the first.
    """
    cutter = SentenceSplitter(code_limit=len(text))
    found: list[str] = []
    for piece in cutter.add(text) + cutter.take_rest():
        words = piece.lstrip() if found else piece
        if found:
            found[-1] += piece[: len(piece) - len(words)]
        if words:
            found.append(str(words))
    return found


def is_code(sentence: str) -> bool:
    """Return whether the sentence is, or begins, a fenced code block."""
    return _FENCE.match(sentence) is not None


class CodePiece(str):
    """A piece of a fenced code block."""

    __slots__ = ()


class SentenceSplitter:
    """A splitter for text that arrives in parts.

    The pieces, joined, are the text. White space between two sentences belongs to the second. The pieces
    never depend on how the text was divided on its way in. With `breaks_lines`, a line break ends a sentence
    and a fenced code block is one piece; without it, only an empty line ends a sentence.
    """

    def __init__(self, *, breaks_lines: bool = True, code_limit: int = CODE_LIMIT) -> None:
        self._breaks_lines = breaks_lines
        self._code_limit = code_limit
        self._parts: list[str] = []
        self._length = 0
        self._decided = 0  # characters of the piece already known to contain no end
        self._is_unsure = breaks_lines
        self._is_first = True
        self._is_code = False
        self._fence = ""  # the fence that opened the piece's code block

    def add(self, text: str) -> list[str]:
        self._parts.append(text)
        self._length += len(text)
        if self._length <= PIECE_LIMIT and not self._is_unsure and not _has_stop(text):
            return []
        return self._take_pieces(is_end=False)

    def take_rest(self) -> list[str]:
        """Return what is left as a sentence: the text ends here, or is interrupted."""
        return self._take_pieces(is_end=True) if self._length else []

    def _take_pieces(self, *, is_end: bool) -> list[str]:
        text = "".join(self._parts)
        pieces = []
        start = 0
        while start < len(text) and (end := self._find_end_of_piece(text, start, is_end)):
            piece = text[start:end]
            pieces.append(CodePiece(piece) if self._is_code else piece)
            start = end
            self._decided = 0
            self._is_first = False
        self._parts = [text[start:]]
        self._length = len(text) - start
        if not self._length:
            self._is_unsure = self._breaks_lines
        return pieces

    def _find_end_of_piece(self, text: str, start: int, is_end: bool) -> int:
        """Return where the piece that begins at `start` ends, or 0 if that is not known yet."""
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
            return self._find_end_of_code(text, start, is_end)
        return self._find_end_of_sentence(text, start, is_end)

    def _find_end_of_code(self, text: str, start: int, is_end: bool) -> int:
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

    def _find_end_of_sentence(self, text: str, start: int, is_end: bool) -> int:
        limit = start + PIECE_LIMIT
        self._is_unsure = False
        for match in _STOP.finditer(text, start + self._decided, limit + 1):
            if match.end() > limit:
                break
            ends_here = self._ends_sentence(text, start, match, is_end)
            if ends_here:
                return match.start() if match["line"] else match.end()
            if ends_here is None:
                self._decided = match.start() - start
                self._is_unsure = True
                return 0
            self._decided = match.end() - start
        if len(text) - start > (PIECE_LIMIT if is_end else PIECE_LIMIT + _SLACK):
            return _find_forced_end(text, start)
        return len(text) if is_end else 0

    def _ends_sentence(self, text: str, start: int, match: re.Match[str], is_end: bool) -> bool | None:
        """Return whether this stop ends a sentence, or None if that depends on what follows."""
        end = match.end()
        if not _has_word(text, start, match.start()):
            return False
        if match["line"]:
            return self._line_ends_sentence(text, start, match, is_end)
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
        return not needs_capital or _is_followed_by_capital(text, end, is_end)

    def _line_ends_sentence(self, text: str, start: int, match: re.Match[str], is_end: bool) -> bool | None:
        if match["line"].count("\n") == 2:
            return True
        if not self._breaks_lines:
            return None if match.end() == len(text) and not is_end else False
        line = text.rfind("\n", start, match.start()) + 1 or start
        if match.start() - line < WRAPPED_LINE_LENGTH:
            return True
        following = match.start() + 1
        if following == len(text):
            return True if is_end else None
        return not text[following].islower()


def _word_before(text: str, start: int, stop: int) -> str | None:
    """Return the word before a full stop in lower case, or None if the stop belongs to the word itself."""
    match = _WORD_BEFORE.search(text, max(start, stop - 16), stop)
    if match is None:
        return ""
    word = match[0].lower()
    if word in _SOMETIMES_LAST:
        return word
    is_list_number = word.isdecimal() and not text[start : match.start()].strip()
    is_initial = len(word) == 1 and match[0].isupper() and word != "i"
    is_acronym = "." in word.strip(".") and all(len(letter) <= 1 for letter in word.split("."))
    if is_list_number or is_initial or is_acronym or word in _NEVER_LAST:
        return None
    return word


def _is_followed_by_capital(text: str, end: int, is_end: bool) -> bool | None:
    following = text[end : end + _LOOKAHEAD].lstrip()
    if following:
        return not following[0].islower()
    return True if is_end or len(text) - end >= _LOOKAHEAD else None


def _find_forced_end(text: str, start: int) -> int:
    clause = _CLAUSE.match(text, start, start + PIECE_LIMIT)
    if clause and clause.end() - start >= _SHORTEST_CLAUSE:
        return clause.end()
    space = _SPACE_AFTER_WORD.match(text, start, start + PIECE_LIMIT)
    return space.end() if space else start + PIECE_LIMIT
