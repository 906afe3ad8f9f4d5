"""Consistent reads: several queries that all see the same moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """See only what is committed at one moment, without blocking writers."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor, _server_side_cursors():
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


@contextmanager
def _server_side_cursors() -> Iterator[None]:
    """Let `iterator()` fetch rows bit by bit, as the settings forbid elsewhere.

    A pooler such as PgBouncer keeps a connection, and the cursors on it, until the transaction ends.
    """
    ordinary = connection.settings_dict
    connection.settings_dict = {**ordinary, "DISABLE_SERVER_SIDE_CURSORS": False}
    try:
        yield
    finally:
        connection.settings_dict = ordinary
