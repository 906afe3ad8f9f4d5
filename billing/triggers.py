"""The ledger's triggers: what the database itself refuses, whoever writes and however they do it.

Entries are written before the transaction that they belong to, rates before their price: the parent's row
seals them. The foreign keys are deferred, so nothing stays unsealed beyond a commit.
"""

# ruff: noqa: S608 (all names are our own)

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from core.database_triggers import (
    Trigger,
    creation,
    function_sql,
    installed_triggers,
    raise_sql,
    removal,
    run_all,
    truncation_guard,
)

ENTRIES, TRANSACTIONS = "billing_entry", "billing_transaction"
PRICES, RATES, CHARGES = "billing_price", "billing_rate", "billing_charge"


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
_NEVER_TRUNCATED = "billing_never_truncated"


def install(connection: BaseDatabaseWrapper) -> None:
    run_all(connection, _creations(connection.vendor))


def remove(connection: BaseDatabaseWrapper) -> None:
    run_all(connection, _removals(connection.vendor))


def missing_triggers(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the names of triggers that are not installed."""
    return {trigger.name for trigger in TRIGGERS} - installed_triggers(connection)


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
        yield from creation(trigger, vendor)
    if vendor == "postgresql":
        tables = (ENTRIES, TRANSACTIONS, PRICES, RATES, CHARGES)
        yield from truncation_guard(_NEVER_TRUNCATED, tables, "the books are never emptied")
        yield from _balance_trigger()


def _balance_trigger() -> Iterator[str]:
    """Check again at commit that entries sum to zero.

    PostgreSQL has many writers: one might add an entry while another seals, neither seeing the other.
    """
    total = f"(SELECT SUM(amount) FROM {ENTRIES} WHERE transaction_id = NEW.transaction_id)"
    refusal = raise_sql("the entries of a transaction sum to zero")
    yield function_sql(_BALANCED_AT_COMMIT, f"IF {total} <> 0 THEN {refusal} END IF; RETURN NULL;")
    yield (
        f"CREATE CONSTRAINT TRIGGER {_BALANCED_AT_COMMIT} AFTER INSERT ON {ENTRIES} "
        f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {_BALANCED_AT_COMMIT}()"
    )


def _removals(vendor: str) -> Iterator[str]:
    names = [trigger.name for trigger in TRIGGERS]
    if vendor == "postgresql":
        names += [_NEVER_TRUNCATED, _BALANCED_AT_COMMIT]
    return removal(names, vendor)
