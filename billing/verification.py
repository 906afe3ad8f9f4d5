"""Verify the ledger: recompute everything from what was used and what it cost, and compare.

It reads what is committed at one moment, so it may run while calls are made, on SQLite and PostgreSQL alike.
Large tables are read in chunks, or summed up by the database.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Sum

from billing import reconciliation, statements, triggers
from billing.holds import billed_cost
from billing.models import Account, Charge, Entry, Price, Transaction, account_id
from billing.prices import tariffs_of
from billing.reconciliation import CHUNK, Discrepancy
from billing.tariffs import Tariff

__all__ = ["Discrepancy", "discrepancies"]

SLACK = timedelta(seconds=60)
"""Tolerance for times: a call admitted while a price is added may have been promised the one before."""

_REVENUE = account_id(Account.Kind.REVENUE)


def discrepancies() -> Iterator[Discrepancy]:
    """Yield everything that does not add up. Iterate over it within a `snapshot`."""
    yield from _missing_triggers()
    yield from _transactions()
    yield from _reversals()
    yield from _charges()
    yield from _transactions_without_charge()
    yield from reconciliation.discrepancies()
    yield from statements.discrepancies()


def _missing_triggers() -> Iterator[Discrepancy]:
    for name in sorted(triggers.missing_triggers(connection)):
        yield Discrepancy("database", f"the trigger {name} is missing, which keeps the books from change")


# --- the ledger -----------------------------------------------------------------------------------


def _transactions() -> Iterator[Discrepancy]:
    sums = Entry.objects.values("transaction_id").annotate(total=Sum("amount"), count=Count("id"))
    for row in sums.exclude(total=0, count__gte=2).iterator(CHUNK):
        yield Discrepancy(
            f"transaction {row['transaction_id']}",
            f"it has {row['count']} entries, and they sum to {row['total']} nano-USD",
        )
    for id in Transaction.objects.filter(entries=None).values_list("id", flat=True).iterator(CHUNK):
        yield Discrepancy(f"transaction {id}", "it has no entries")


def _reversals() -> Iterator[Discrepancy]:
    reversals = Transaction.objects.filter(kind=Transaction.Kind.REVERSAL).select_related("reverses")
    for reversal in reversals.prefetch_related("entries", "reverses__entries").iterator(CHUNK):
        original = reversal.reverses
        if original is None or _amounts(original) != {
            id: -amount for id, amount in _amounts(reversal).items()
        }:
            yield Discrepancy(f"transaction {reversal.id}", "it is not the opposite of what it reverses")


def _amounts(transaction: Transaction) -> dict[UUID, int]:
    return {entry.account_id: entry.amount for entry in transaction.entries.all()}


# --- charges --------------------------------------------------------------------------------------


def _charges() -> Iterator[Discrepancy]:
    starts = _starts_by_model()
    for charges in _charge_chunks():
        tariffs = tariffs_of(charge.price_id for charge in charges if charge.price_id)
        posted = _posted_amounts(charges)
        for charge in charges:
            yield from _price(charge, tariffs, starts[charge.model])
            yield from _posting(charge, posted.get(charge.id, {}))


def _charge_chunks() -> Iterator[list[Charge]]:
    last = UUID(int=0)
    while charges := list(Charge.objects.filter(id__gt=last).order_by("id")[:CHUNK]):
        yield charges
        last = charges[-1].id


def _starts_by_model() -> dict[str, list[datetime]]:
    starts: dict[str, list[datetime]] = defaultdict(list)
    for model, starts_at in Price.objects.order_by("starts_at").values_list("model", "starts_at"):
        starts[model].append(starts_at)
    return starts


def _price(
    charge: Charge, tariffs: Mapping[UUID, Tariff], starts: Sequence[datetime]
) -> Iterator[Discrepancy]:
    """Check a charge's price and cost. `starts` is when the prices of its model began."""
    if charge.price_id is None:
        if starts and starts[0] < charge.admitted_at - SLACK:
            yield Discrepancy(_name(charge), f"{charge.model!r} had a price, and it has none")
        return
    tariff = tariffs.get(charge.price_id)
    if tariff is None or tariff.model != charge.model:
        yield Discrepancy(_name(charge), f"{charge.price_id} is no price of {charge.model!r}")
        return
    if _was_superseded(tariff, charge.admitted_at, starts):
        yield Discrepancy(_name(charge), f"the price {tariff.price_id} was not in force when it was admitted")
    if charge.state == Charge.State.HELD:
        return
    cost = billed_cost(tariff, charge.units, charge.requests, charge.held, is_estimated=charge.is_estimated)
    if cost != charge.cost:
        yield Discrepancy(
            _name(charge), f"what was used costs {cost} nano-USD, but {charge.cost} nano-USD were billed"
        )


def _was_superseded(tariff: Tariff, at: datetime, starts: Sequence[datetime]) -> bool:
    following = starts[bisect_right(starts, tariff.starts_at) :]
    return tariff.starts_at > at + SLACK or bool(following and following[0] < at - SLACK)


def _posted_amounts(charges: Sequence[Charge]) -> Mapping[UUID | None, dict[UUID, int]]:
    """Return what the ledger moved for each charge, by account.

    The accounts are not joined: SQLite would begin with them, and go through all entries.
    """
    entries = Entry.objects.filter(
        transaction__charge_id__in=[charge.id for charge in charges],
        transaction__kind=Transaction.Kind.CHARGE,
    )
    amounts: dict[UUID | None, dict[UUID, int]] = defaultdict(dict)
    for charge_id, account, amount in entries.values_list("transaction__charge_id", "account_id", "amount"):
        amounts[charge_id][account] = amount
    return amounts


def _posting(charge: Charge, posted: Mapping[UUID, int]) -> Iterator[Discrepancy]:
    cost = charge.cost if charge.cost and charge.state == Charge.State.POSTED else 0
    if not cost and not posted:
        return
    wallet = account_id(Account.Kind.WALLET, charge.workspace_id)
    taken = -posted.get(wallet, 0)
    if taken != cost:
        yield Discrepancy(
            _name(charge), f"{cost} nano-USD should have been taken from its wallet, and {taken} were"
        )
    elif posted != {wallet: -cost, _REVENUE: cost}:
        yield Discrepancy(_name(charge), "it was posted to accounts that it has nothing to do with")


def _transactions_without_charge() -> Iterator[Discrepancy]:
    known = Charge.objects.filter(id=OuterRef("charge_id"))
    orphans = Transaction.objects.filter(~Exists(known), charge_id__isnull=False)
    for id in orphans.values_list("id", flat=True).iterator(CHUNK):
        yield Discrepancy(f"transaction {id}", "it charges for something that was never admitted")


def _name(charge: Charge) -> str:
    return f"{charge.kind} {charge.id.hex}"
