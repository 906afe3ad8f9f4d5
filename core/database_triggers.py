"""Database triggers: what the database itself refuses, whoever writes and however they do it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper


class Trigger(NamedTuple):
    """A trigger that fails with `message` if `refuse_when`, an SQL condition over OLD and NEW, is true."""

    name: str
    table: str
    event: str
    refuse_when: str
    message: str


def creation(trigger: Trigger, vendor: str) -> Iterator[str]:
    """Yield the statements that create a trigger."""
    if vendor == "postgresql":
        row = "OLD" if trigger.event == "DELETE" else "NEW"
        condition = f"IF {trigger.refuse_when} THEN {raise_sql(trigger.message)} END IF;"
        yield function_sql(trigger.name, f"{condition} RETURN {row};")
        yield (
            f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table} "
            f"FOR EACH ROW EXECUTE FUNCTION {trigger.name}()"
        )
    else:
        condition = trigger.refuse_when.replace("IS NOT DISTINCT FROM", "IS")
        yield (
            f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{trigger.message}'); END"
        )


def truncation_guard(name: str, tables: Iterable[str], message: str) -> Iterator[str]:
    """Yield the statements that forbid TRUNCATE, which only PostgreSQL has."""
    yield function_sql(name, raise_sql(message))
    for table in tables:
        yield (
            f"CREATE TRIGGER {table}_never_truncated BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


def function_sql(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def raise_sql(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation';"


def removal(names: Iterable[str], vendor: str) -> Iterator[str]:
    """Yield the statements that remove triggers, by the names of their functions on PostgreSQL."""
    for name in names:
        if vendor == "postgresql":
            yield f"DROP FUNCTION IF EXISTS {name}() CASCADE"
        else:
            yield f"DROP TRIGGER IF EXISTS {name}"


def installed_triggers(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the names of the triggers that are installed and on.

    On SQLite, a migration that alters a table recreates it and silently loses its triggers; so it removes all
    triggers before, and installs them after.
    """
    queries = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')",
    }
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return {name for (name,) in cursor.fetchall()}


def run_all(connection: BaseDatabaseWrapper, statements: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
