"""Tampering with the ledger, past all guards."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from billing.triggers import without_triggers


@contextmanager
def tampering() -> Iterator[None]:
    """Let the block write what the database would refuse, in the test's transaction or in none."""
    _run_deferred_checks()
    with without_triggers(connection):
        yield
        _run_deferred_checks()


def _run_deferred_checks() -> None:
    """Run deferred checks now: PostgreSQL cannot change a table's triggers while one is pending."""
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
