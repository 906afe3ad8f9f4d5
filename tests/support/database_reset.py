"""Emptying the test database: only the tables that have rows, and not those that migrations fill.

Django itself empties all tables and then recreates all content types and permissions, which takes 50 ms after
each test that commits.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction

from accounts.security_events import triggers as event_triggers
from billing import triggers as ledger_triggers

KEPT = frozenset({ContentType._meta.db_table, Permission._meta.db_table})
DEADLOCK = "40P01"
"""PostgreSQL's code for a transaction that it ended because two waited for each other."""
GUARDED = frozenset(guard.table for guard in ledger_triggers.TRIGGERS)


def empty_database() -> None:
    """Empty the database, as often as a worker that still finishes something gets into its way."""
    for attempts_left in (2, 1, 0):
        try:
            _empty_tables()
        except OperationalError as error:
            if not attempts_left or getattr(error.__cause__, "sqlstate", None) != DEADLOCK:
                raise
        else:
            return


def _empty_tables() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_filled_tables_sql())
        filled = [table for (table,) in cursor.fetchall()]
        if filled:
            with _without_guards(filled):
                for table in filled:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@cache
def _filled_tables_sql() -> str:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    names = [(table, connection.ops.quote_name(table)) for table in tables if table not in KEPT]
    return " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quoted})" for table, quoted in names
    )


@contextmanager
def _without_guards(tables: list[str]) -> Iterator[None]:
    """Suspend the triggers that otherwise forbid emptying the ledger and the security events."""
    if connection.vendor == "postgresql":
        # dropping and recreating the triggers would take locks, and 50 ms per test
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        yield
    else:
        with ExitStack() as suspended:
            if GUARDED.intersection(tables):
                suspended.enter_context(ledger_triggers.without_triggers(connection))
            if event_triggers.EVENTS in tables:
                suspended.enter_context(event_triggers.without_triggers(connection))
            yield
