"""Books that somebody tampers with, past all guards."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from billing.triggers import unguarded


@contextmanager
def tampering() -> Iterator[None]:
    """The block writes what the database would refuse. In the test's transaction, or in none."""
    _check_now()
    with unguarded(connection):
        yield
        _check_now()


def _check_now() -> None:
    """PostgreSQL changes no trigger of a table while a deferred check of it is due."""
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
