"""Which documents have these words, newest first."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from conversations.search.schema import DOCUMENTS, INDEX
from core.value import Value

RECENT = 2000
"""How many of the newest documents PostgreSQL looks through before it asks its index."""

# PostgreSQL's index knows no order: all that have a frequent word would have to be read. Such a word stands
# in the newest documents too, so these are read first; what is not frequent there is asked of the index, and
# of nothing else, whatever the planner thinks of words that it never counted.
_POSTGRESQL_RECENT = f"""
    SELECT id FROM (SELECT id, words FROM {DOCUMENTS} WHERE id < %s ORDER BY id DESC LIMIT {RECENT}) AS recent
    WHERE words @@ %s::tsquery ORDER BY id DESC LIMIT %s
"""  # noqa: S608
_POSTGRESQL = f"""
    WITH found AS MATERIALIZED (SELECT id FROM {DOCUMENTS} WHERE words @@ %s::tsquery)
    SELECT id FROM found WHERE id < %s ORDER BY id DESC LIMIT %s
"""  # noqa: S608
_SQLITE = f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s AND rowid < %s ORDER BY rowid DESC LIMIT %s"  # noqa: S608


class WantedWords(Value, frozen=True):
    """All of these words, each whole or as the beginning of one, and one of these owners."""

    words: tuple[tuple[str, bool], ...]
    owners: tuple[str, ...]


def find_documents(wanted: WantedWords, below: int, limit: int) -> list[int]:
    """Return the ids of at most `limit` documents that have these words, the highest below this one."""
    if connection.vendor != "postgresql":
        return _fetch(_SQLITE, [_match_expression(wanted), below, limit])
    query = _tsquery(wanted)
    recent = _fetch(_POSTGRESQL_RECENT, [below, query, limit])
    return recent if len(recent) == limit else _fetch(_POSTGRESQL, [query, below, limit])


def _fetch(statement: str, parameters: Sequence[Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [id for (id,) in cursor.fetchall()]


# words are letters, digits and marks: nothing in them has to be escaped


def _match_expression(wanted: WantedWords) -> str:
    words = [f'"{word}"{" *" if is_prefix else ""}' for word, is_prefix in wanted.words]
    owners = " OR ".join(f'"{owner}"' for owner in wanted.owners)
    return " AND ".join([*words, f"({owners})"])


def _tsquery(wanted: WantedWords) -> str:
    words = [f"'{word}'{':*' if is_prefix else ''}" for word, is_prefix in wanted.words]
    owners = " | ".join(f"'{owner}'" for owner in wanted.owners)
    return " & ".join([*words, f"({owners})"])
