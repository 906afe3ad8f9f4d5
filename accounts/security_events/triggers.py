"""The triggers that keep security events as they are.

An event may only lose what is personal, when its user is deleted; and it may only be deleted once it is old.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from core.database_triggers import (
    Trigger,
    creation,
    installed_triggers,
    removal,
    run_all,
    truncation_guard,
)

EVENTS = "accounts_securityevent"
LEAST_DAYS = 90
"""The least number of days that an event is kept."""

_NEVER_TRUNCATED = f"{EVENTS}_truncated"
_UNCHANGED = ("id", "kind", "at", "workspace_id", "key_id", "key_prefix")
_ERASABLE = {"user_id": "NULL", "by_id": "NULL", "address": "NULL", "user_agent": "''", "details": "NULL"}
_SAME_OR_ERASED = " AND ".join(
    (
        *(f"NEW.{column} IS NOT DISTINCT FROM OLD.{column}" for column in _UNCHANGED),
        *(
            f"(NEW.{column} IS NOT DISTINCT FROM {erased} OR NEW.{column} IS NOT DISTINCT FROM OLD.{column})"
            for column, erased in _ERASABLE.items()
        ),
    )
)


def _triggers(vendor: str) -> tuple[Trigger, ...]:
    ago = {
        "sqlite": f"datetime('now', '-{LEAST_DAYS} days')",
        "postgresql": f"CURRENT_TIMESTAMP - INTERVAL '{LEAST_DAYS} days'",
    }[vendor]
    return (
        Trigger(
            f"{EVENTS}_only_erased",
            EVENTS,
            "UPDATE",
            f"NOT ({_SAME_OR_ERASED})",
            "of a security event only what is personal is erased",
        ),
        Trigger(
            f"{EVENTS}_kept",
            EVENTS,
            "DELETE",
            f"OLD.at > {ago}",
            f"a security event is kept for {LEAST_DAYS} days",
        ),
    )


def install(connection: BaseDatabaseWrapper) -> None:
    run_all(connection, _creations(connection.vendor))


def remove(connection: BaseDatabaseWrapper) -> None:
    names = [trigger.name for trigger in _triggers(connection.vendor)]
    if connection.vendor == "postgresql":
        names.append(_NEVER_TRUNCATED)
    run_all(connection, removal(names, connection.vendor))


def missing_triggers(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the names of triggers that are not installed."""
    return {trigger.name for trigger in _triggers(connection.vendor)} - installed_triggers(connection)


@contextmanager
def without_triggers(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Do without triggers for tests, which empty the table."""
    remove(connection)
    try:
        yield
    finally:
        install(connection)


def _creations(vendor: str) -> Iterator[str]:
    for trigger in _triggers(vendor):
        yield from creation(trigger, vendor)
    if vendor == "postgresql":
        yield from truncation_guard(_NEVER_TRUNCATED, [EVENTS], "security events are never emptied")
