"""Database triggers: what the database itself refuses, whoever writes and however they do it.

Entries are written before the transaction that they belong to, rates before their price: the parent's row
seals them. The foreign keys are deferred, so nothing stays unsealed beyond a commit.
"""

# ruff: noqa: S608 (all names are our own)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

ENTRIES, TRANSACTIONS = "billing_entry", "billing_transaction"
PRICES, RATES, CHARGES = "billing_price", "billing_rate", "billing_charge"


class Trigger(NamedTuple):
    """A trigger that fails with `message` if `refuse_when`, an SQL condition over OLD and NEW, is true."""

    name: str
    table: str
    event: str
    refuse_when: str
    message: str


def _forbid(table: str, event: str) -> Trigger:
    verb = "changed" if event == "UPDATE" else "deleted"
    what = table.removeprefix("billing_")
    article = "an" if what[0] in "aeiou" else "a"
    return Trigger(f"{table}_never_{verb}", table, event, "TRUE", f"{article} {what} is never {verb}")


TRIGGERS = (
    *(
        _forbid(table, event)
        for table in (ENTRIES, TRANSACTIONS, PRICES, RATES)
        for event in ("UPDATE", "DELETE")
    ),
    _forbid(CHARGES, "DELETE"),
    Trigger(
        "billing_charge_goes_forward",
        CHARGES,
        "UPDATE",
        "NOT ((OLD.state = 'held' AND NEW.state = 'settled' AND NEW.id = OLD.id)"
        " OR (OLD.state = 'settled' AND NEW.state = 'posted' AND NEW.id = OLD.id"
        " AND NEW.cost IS NOT DISTINCT FROM OLD.cost))",
        "a charge is settled once and posted once",
    ),
    Trigger(
        "billing_entry_after_seal",
        ENTRIES,
        "INSERT",
        f"EXISTS (SELECT 1 FROM {TRANSACTIONS} WHERE id = NEW.transaction_id)",
        "a transaction gains no entry",
    ),
    Trigger(
        "billing_transaction_sums_to_zero",
        TRANSACTIONS,
        "INSERT",
        f"(SELECT COUNT(*) < 2 OR SUM(amount) <> 0 FROM {ENTRIES} WHERE transaction_id = NEW.id)",
        "the entries of a transaction sum to zero",
    ),
    Trigger(
        "billing_rate_after_seal",
        RATES,
        "INSERT",
        f"EXISTS (SELECT 1 FROM {PRICES} WHERE id = NEW.price_id)",
        "a price gains no rate",
    ),
    Trigger(
        "billing_price_is_free_or_has_rates",
        PRICES,
        "INSERT",
        f"NEW.is_free = EXISTS (SELECT 1 FROM {RATES} WHERE price_id = NEW.id)",
        "a price is free, or has rates",
    ),
    Trigger(
        "billing_price_follows_the_last",
        PRICES,
        "INSERT",
        f"EXISTS (SELECT 1 FROM {PRICES} WHERE model = NEW.model AND starts_at >= NEW.starts_at)",
        "a price begins after all other prices of its model",
    ),
)

_BALANCED_AT_COMMIT = "billing_entry_balanced_at_commit"


def install(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for statement in _creations(connection.vendor):
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for statement in _removals(connection.vendor):
            cursor.execute(statement)


def missing_triggers(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the names of triggers that are not installed.

    On SQLite, a migration that alters a table recreates it and silently loses its triggers; so it removes all
    triggers before, and installs them after.
    """
    queries = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')",
    }
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return {trigger.name for trigger in TRIGGERS} - {name for (name,) in cursor.fetchall()}


@contextmanager
def without_triggers(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Do without triggers for tests, which empty the tables. Mistakes in the ledger are reversed instead."""
    remove(connection)
    try:
        yield
    finally:
        install(connection)


def _creations(vendor: str) -> Iterator[str]:
    for trigger in TRIGGERS:
        yield from _on_postgresql(trigger) if vendor == "postgresql" else _on_sqlite(trigger)
    if vendor == "postgresql":
        yield from _truncation_triggers()
        yield from _balance_trigger()


def _on_sqlite(trigger: Trigger) -> Iterator[str]:
    condition = trigger.refuse_when.replace("IS NOT DISTINCT FROM", "IS")
    yield (
        f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table} WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{trigger.message}'); END"
    )


def _on_postgresql(trigger: Trigger) -> Iterator[str]:
    row = "OLD" if trigger.event == "DELETE" else "NEW"
    yield _function(
        trigger.name, f"IF {trigger.refuse_when} THEN {_raise(trigger.message)} END IF; RETURN {row};"
    )
    yield (
        f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {trigger.name}()"
    )


def _truncation_triggers() -> Iterator[str]:
    name = "billing_never_truncated"
    yield _function(name, _raise("the books are never emptied"))
    for table in (ENTRIES, TRANSACTIONS, PRICES, RATES, CHARGES):
        yield (
            f"CREATE TRIGGER {table}_never_truncated BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


def _balance_trigger() -> Iterator[str]:
    """Check again at commit that entries sum to zero.

    PostgreSQL has many writers: one might add an entry while another seals, neither seeing the other.
    """
    total = f"(SELECT SUM(amount) FROM {ENTRIES} WHERE transaction_id = NEW.transaction_id)"
    raise_sql = _raise("the entries of a transaction sum to zero")
    yield _function(_BALANCED_AT_COMMIT, f"IF {total} <> 0 THEN {raise_sql} END IF; RETURN NULL;")
    yield (
        f"CREATE CONSTRAINT TRIGGER {_BALANCED_AT_COMMIT} AFTER INSERT ON {ENTRIES} "
        f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {_BALANCED_AT_COMMIT}()"
    )


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def _raise(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation';"


def _removals(vendor: str) -> Iterator[str]:
    if vendor != "postgresql":
        for trigger in TRIGGERS:
            yield f"DROP TRIGGER IF EXISTS {trigger.name}"
        return
    for name in (*(trigger.name for trigger in TRIGGERS), "billing_never_truncated", _BALANCED_AT_COMMIT):
        yield f"DROP FUNCTION IF EXISTS {name}() CASCADE"
