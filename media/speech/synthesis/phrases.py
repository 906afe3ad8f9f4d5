"""Text in the pieces it is spoken in: sentences, and clauses of long ones. All pieces joined are the text."""

import re
from collections.abc import Iterator

LONGEST = 140
"""Characters spoken in one go; bounds the memory a model takes, and the wait for its sound."""
SHORTEST = 12
"""A clause with less is not worth a break."""
WRAPPED = 60
"""A line at least this long that goes on in lower case was wrapped, it does not end there."""

FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
SENTENCE_END = re.compile(
    r"(?:(?<![.!?…])[.!?…]+[\"'”’»)\]*_`]*(?=\s)|(?<![。！？।؟۔])[。！？।؟۔]+[」』”’）]*)\s*"
)
CLAUSE_END = re.compile(r"[,;:–—)、，；：،؛](?=[\s\"'”’])\s*|[、，；：،؛]")
LIST_NUMBER = re.compile(r"\s*\d{1,3}[.)]\s*$")
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“])(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|fig|approx|dept|gen|gov|rev|nr|bzw|ca|usw"
    r"|\w(?:\.\w)*)\.$",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """A fenced block of code is one, however long; a line of a list or a table is one."""
    return [sentence for block in _blocks(text) for sentence in _block_sentences(block)]


def finished_sentences(text: str) -> tuple[list[str], str]:
    """Of a text that still grows: the sentences that are whole, and the rest."""
    found = sentences(text)
    return (found[:-1], found[-1]) if found else ([], "")


def phrases(text: str, first: int = LONGEST) -> Iterator[str]:
    """Sentences, cut where they are longer than LONGEST; the first one where it is longer than `first`
    and has a clause that ends before: its sound is waited for."""
    limit = first
    for sentence in sentences(text):
        yield from [sentence] if is_code(sentence) else _cut(sentence, limit)
        if sentence.strip():
            limit = LONGEST


def is_code(phrase: str) -> bool:
    return FENCE.match(phrase) is not None


def _blocks(text: str) -> Iterator[str]:
    """Fenced code, and what stands between."""
    block: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        if fence:
            block.append(line)
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                yield "".join(block)
                block, fence = [], ""
        elif mark:
            if block:
                yield "".join(block)
            block, fence = [line], mark[1]
        else:
            block.append(line)
    if block:
        yield "".join(block)


def _block_sentences(block: str) -> Iterator[str]:
    if is_code(block):
        yield block
        return
    for line in _lines(block):
        yield from _line_sentences(line)


def _lines(block: str) -> Iterator[str]:
    """Lines, with those joined that were one line before they were wrapped."""
    held = ""
    for line in block.splitlines(keepends=True):
        was_wrapped = len(held.rpartition("\n")[2] or held.strip()) >= WRAPPED and line[:1].islower()
        if held and line.strip() and not was_wrapped:
            yield held
            held = ""
        held += line
    if held:
        yield held


def _line_sentences(line: str) -> Iterator[str]:
    start = 0
    for end in SENTENCE_END.finditer(line):
        said = line[start : end.start() + 1]
        goes_on = line[end.end() : end.end() + 1].islower() or not line[end.end() :].strip()
        if goes_on or LIST_NUMBER.match(said) or ABBREVIATION.search(said):
            continue
        yield line[start : end.end()]
        start = end.end()
    if start < len(line):
        yield line[start:]


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
