"""Text in the pieces it is spoken in: sentences, and clauses of long ones.

All pieces, joined, are the text.
"""

import re
from collections.abc import Iterator

from media.processing.speech.sentence_splitter import is_code, split_sentences

MAX_PHRASE_LENGTH = 140
"""The most characters spoken at once; bounds the memory a model takes, and the wait for its sound."""
MIN_CLAUSE_LENGTH = 12
"""A shorter clause is not worth a break."""

CLAUSE_END = re.compile(r"[,;:–—)、，；：،؛](?=[\s\"'”’])\s*|[、，；：،؛]")


def split_phrases(text: str) -> Iterator[str]:
    """Yield sentences, cut at a clause or a space if longer than `MAX_PHRASE_LENGTH`; code is left whole."""
    for sentence in split_sentences(text):
        yield from [sentence] if is_code(sentence) else _split_sentence(sentence)


def _split_sentence(sentence: str) -> Iterator[str]:
    rest = sentence
    while len(rest) > MAX_PHRASE_LENGTH:
        at = _find_last_clause(rest) or _find_last_space(rest) or MAX_PHRASE_LENGTH
        yield rest[:at]
        rest = rest[at:]
    if rest:
        yield rest


def _find_last_clause(text: str) -> int | None:
    ends = [found.end() for found in CLAUSE_END.finditer(text, MIN_CLAUSE_LENGTH, MAX_PHRASE_LENGTH)]
    return ends[-1] if ends else None


def _find_last_space(text: str) -> int | None:
    return text.rfind(" ", 1, MAX_PHRASE_LENGTH) + 1 or None
