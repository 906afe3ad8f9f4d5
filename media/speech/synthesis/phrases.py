"""Text in the pieces it is spoken in: sentences, and clauses of long ones. All pieces joined are the text."""

import re
from collections.abc import Iterator

from media.speech.sentences import is_code, sentences

LONGEST = 140
"""Characters spoken in one go; bounds the memory a model takes, and the wait for its sound."""
SHORTEST = 12
"""A clause with less is not worth a break."""

CLAUSE_END = re.compile(r"[,;:–—)、，；：،؛](?=[\s\"'”’])\s*|[、，；：،؛]")


def phrases(text: str, first: int = LONGEST) -> Iterator[str]:
    """Sentences, cut where they are longer than LONGEST; the first one where it is longer than `first`
    and has a clause that ends before: its sound is waited for."""
    limit = first
    for sentence in sentences(text):
        yield from [sentence] if is_code(sentence) else _cut(sentence, limit)
        if sentence.strip():
            limit = LONGEST


def _cut(sentence: str, limit: int) -> Iterator[str]:
    rest = sentence
    while len(rest) > limit:
        at = _last_clause(rest, limit)
        if at is None and limit < LONGEST:
            limit = LONGEST
            continue
        at = at or _last_space(rest, limit) or limit
        yield rest[:at]
        rest, limit = rest[at:], LONGEST
    if rest:
        yield rest


def _last_clause(text: str, limit: int) -> int | None:
    ends = [found.end() for found in CLAUSE_END.finditer(text, SHORTEST, limit)]
    return ends[-1] if ends else None


def _last_space(text: str, limit: int) -> int | None:
    return text.rfind(" ", 1, limit) + 1 or None
