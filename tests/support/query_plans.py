"""How the database runs queries, as they are really sent."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection

Query = tuple[str, Sequence[Any]]
"""A statement and its parameters."""


@contextmanager
def sent_queries() -> Iterator[list[Query]]:
    """Yield the queries that Django's cursors send meanwhile.

    With the values written into its text a query may be planned otherwise: SQLite sees more of it.
    """
    sent: list[Query] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


def explained(query: Query) -> str:
    """Return how the database runs a query."""
    sql, params = query
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(explain + sql, params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
