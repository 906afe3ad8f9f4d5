"""Which documents have these words, newest first."""

from collections.abc import Iterator
from itertools import accumulate, pairwise

from django.db import connection

from conversations.search.schema import DOCUMENTS, INDEX
from core.bulk_sql import fetch
from core.value import Value

RECENT = 2000
"""How many of the newest documents PostgreSQL looks through before it asks its index."""

WINDOWS = (50_000, 250_000)
"""How many ids below those it asks for next: a word in 4 % of a million takes 25 ms, 60, and 120 for all."""
_LOWEST = -(2**63)
_STEPS = (200, 800)
"""How many are given at first, and next: most pages need no more."""

# PostgreSQL's index knows no order: all that have a frequent word would have to be read. Such a word stands
# in the newest documents too, so these are read first; then the index is asked for ever more of the older
# ones. It is asked nothing else, whatever the planner thinks of words that it never counted.
_POSTGRESQL_RECENT = (
    f"SELECT id, words @@ ?::tsquery FROM {DOCUMENTS} WHERE id < ? ORDER BY id DESC LIMIT {RECENT}"  # noqa: S608
)
_POSTGRESQL = f"""
    WITH found AS MATERIALIZED (
        SELECT id FROM {DOCUMENTS} WHERE words @@ ?::tsquery AND id < ? AND id >= ?
    )
    SELECT id FROM found ORDER BY id DESC LIMIT ?
"""  # noqa: S608
_SQLITE = f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"  # noqa: S608


class WantedWords(Value, frozen=True):
    """All of these words, each whole or as the beginning of one, and one of these owners."""

    words: tuple[tuple[str, bool], ...]
    owners: tuple[str, ...]


def find_documents(wanted: WantedWords, below: int, limit: int) -> Iterator[list[int]]:
    """Yield the ids of at most `limit` documents that have these words, the highest below this one first.

    They come in steps, each of which is looked for only when it is taken.
    """
    steps = _postgresql_steps if connection.vendor == "postgresql" else _sqlite_steps
    return filter(None, steps(wanted, below, limit))


def _sqlite_steps(wanted: WantedWords, below: int, limit: int) -> Iterator[list[int]]:
    match = _match_expression(wanted)
    for size in (*_STEPS, limit - sum(_STEPS)):
        ids = [id for (id,) in fetch(_SQLITE, [match, below, size])]
        yield ids
        if len(ids) < size:
            return
        below = ids[-1]


def _postgresql_steps(wanted: WantedWords, below: int, limit: int) -> Iterator[list[int]]:
    query = _tsquery(wanted)
    recent = fetch(_POSTGRESQL_RECENT, [query, below])
    found = [id for id, has_words in recent if has_words]
    yield found
    lowest, limit = (recent[-1][0] if len(recent) == RECENT else _LOWEST), limit - len(found)
    for width in (*WINDOWS, None):
        if lowest == _LOWEST or not limit:
            return
        above, lowest = lowest, _LOWEST if width is None else lowest - width
        ids = [id for (id,) in fetch(_POSTGRESQL, [query, above, lowest, limit])]
        limit -= len(ids)
        for start, end in pairwise((0, *accumulate(_STEPS), len(ids))):
            yield ids[start:end]


# words are letters, digits and marks: nothing in them has to be escaped


def _match_expression(wanted: WantedWords) -> str:
    words = [f'"{word}"{" *" if is_prefix else ""}' for word, is_prefix in wanted.words]
    owners = " OR ".join(f'"{owner}"' for owner in wanted.owners)
    return " AND ".join([*words, f"({owners})"])


def _tsquery(wanted: WantedWords) -> str:
    words = [f"'{word}'{':*' if is_prefix else ''}" for word, is_prefix in wanted.words]
    owners = " | ".join(f"'{owner}'" for owner in wanted.owners)
    return " & ".join([*words, f"({owners})"])
