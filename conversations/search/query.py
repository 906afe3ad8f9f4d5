"""What somebody asks for: phrases of words, all of which must stand in a message or a title."""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from conversations.search.tokenizer import MAX_WORD, Token, is_paired, tokens_of, words_in_order
from core.exceptions import BadRequest
from core.value import Value

MAX_QUERY = 400
"""Characters."""
MAX_WORDS = 32
MAX_FOUND = 50
"""How many occurrences of a phrase are looked for in a text: a snippet shows a few."""
MIN_BEGINNING = 2
"""Letters of a word of which it is a beginning: each letter is one of a tenth of all words."""

_PHRASE = re.compile(r'"([^"]*)("|$)|(\S+)')
_QUOTES = str.maketrans("“”„«»「」『』", '"""""""""')


class Term(NamedTuple):
    """A word that is asked for; `offset` is where it stands in its phrase."""

    word: str
    offset: int
    is_prefix: bool = False

    def matches(self, word: str) -> bool:
        return word.startswith(self.word) if self.is_prefix else word == self.word


class Span(NamedTuple):
    start: int
    end: int


class SearchQuery(Value, frozen=True):
    """Phrases, each a sequence of terms that follow each other."""

    phrases: tuple[tuple[Term, ...], ...]

    @property
    def terms(self) -> dict[str, bool]:
        """The words, and whether only their beginning is known."""
        found: dict[str, bool] = {}
        for term in (term for phrase in self.phrases for term in phrase):
            found[term.word] = term.is_prefix and found.get(term.word, True)
        return found

    def find_in(self, texts: Sequence[str]) -> list[list[Span]] | None:
        """Return where each of these texts has a phrase; None unless each phrase is in one of them."""
        in_order = [words_in_order(text) for text in texts]
        found: list[list[range]] = [[] for _ in texts]
        for phrase in self.phrases:
            positions = [list(islice(_positions(phrase, words), MAX_FOUND)) for words in in_order]
            if not any(positions):
                return None
            for here, more in zip(found, positions, strict=True):
                here += more
        return [self._spans(text, positions) for text, positions in zip(texts, found, strict=True)]

    def _spans(self, text: str, positions: Sequence[range]) -> list[Span]:
        if not positions:
            return []
        last = max(places.stop for places in positions)
        tokens, terms = list(islice(tokens_of(text), last)), self.terms
        marked = [tokens[at] for at in sorted({at for places in positions for at in places})]
        return _merge([Span(token.start, _marked_end(token, terms)) for token in marked])


def parse_query(text: str) -> SearchQuery:
    """Parse a query: words, and phrases in quotes. The last word may be the beginning of one.

    Raises `BadRequest` if there is nothing to look for, or too much.
    """
    text = text.translate(_QUOTES)
    phrases = []
    for quoted, end, word in _PHRASE.findall(text):
        terms = tuple(_terms(list(tokens_of(quoted or word))))
        if terms:
            phrases.append((terms, bool(end)))
    if not phrases:
        raise BadRequest(
            "Invalid value for 'q': it has no letter and no digit. Name a word to look for.", param="q"
        )
    if sum(len(terms) for terms, _ in phrases) > MAX_WORDS:
        raise BadRequest(
            f"Invalid value for 'q': it has more than {MAX_WORDS} words, or pairs of characters.", param="q"
        )
    last, is_closed = phrases[-1]
    if not is_closed:
        phrases[-1] = (*last[:-1], last[-1]._replace(is_prefix=_can_go_on(last[-1].word))), False
    return SearchQuery(tuple(terms for terms, _ in phrases))


def _terms(tokens: Sequence[Token]) -> Iterator[Term]:
    """Yield what to look for: the last character of a run stands in the pair before it."""
    for number, token in enumerate(tokens):
        is_single = len(token.word) == 1 and is_paired(token.word)
        if not is_single:
            yield Term(token.word, token.position, len(token.word) == MAX_WORD)
        elif number == 0 or not _is_end_of(tokens[number - 1], token):
            yield Term(token.word, token.position, is_prefix=True)


def _is_end_of(before: Token, token: Token) -> bool:
    return is_paired(before.word) and before.word[-1] == token.word and before.end >= token.end


def _can_go_on(word: str) -> bool:
    return len(word) == 1 if is_paired(word) else len(word) >= MIN_BEGINNING


def _positions(phrase: Sequence[Term], words: Sequence[str]) -> Iterator[range]:
    """Yield where a phrase stands: the positions from its first word to its last."""
    first, *others = phrase
    length = phrase[-1].offset - first.offset + 1
    for number, word in enumerate(words):
        if not first.matches(word):
            continue
        if number + length > len(words):
            return
        if all(term.matches(words[number + term.offset - first.offset]) for term in others):
            yield range(number, number + length)


def _marked_end(token: Token, terms: Collection[str]) -> int:
    """Return where the mark ends: of a pair whose first character was asked for, behind that one."""
    is_half = len(token.word) == 2 and is_paired(token.word) and token.word not in terms
    return token.end - 1 if is_half and token.end - token.start == 2 else token.end


def _merge(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(set(spans)):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged
