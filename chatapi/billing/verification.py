"""Proving the books: everything is computed anew from what was used and what it cost, and compared.

It reads what is committed at one moment, so it may run while calls are made; on SQLite and PostgreSQL alike.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Sum

from chatapi.billing import guards, rollups
from chatapi.billing.models import (
    Account,
    Charge,
    Entry,
    Price,
    Spend,
    Transaction,
    UsageRollup,
    Wallet,
    account_id,
)
from chatapi.billing.prices import tariffs_of
from chatapi.billing.tariffs import Tariff

CHUNK = 2000
SLACK = timedelta(seconds=60)
"""A call that is admitted while a price is added may have been promised the one before."""


class Discrepancy(NamedTuple):
    """What does not add up, and how."""

    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


@contextmanager
def snapshot() -> Iterator[None]:
    """What is committed at one moment, without keeping anybody from writing."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def discrepancies() -> Iterator[Discrepancy]:
    """All that does not add up. To be read within a `snapshot`."""
    yield from _guards()
    yield from _transactions()
    yield from _Books().check()


def _guards() -> Iterator[Discrepancy]:
    for name in sorted(guards.missing(connection)):
        yield Discrepancy("database", f"the trigger {name} is missing, which keeps the books from change")


def _transactions() -> Iterator[Discrepancy]:
    sums = Entry.objects.values("transaction_id").annotate(total=Sum("amount"), count=Count("id"))
    for row in sums.exclude(total=0, count__gte=2):
        yield Discrepancy(
            f"transaction {row['transaction_id']}",
            f"it has {row['count']} entries, and they sum to {row['total']} nano-USD",
        )
    for id in Transaction.objects.filter(entries=None).values_list("id", flat=True):
        yield Discrepancy(f"transaction {id}", "it has no entries")
    for reversal in Transaction.objects.filter(kind=Transaction.Kind.REVERSAL).select_related("reverses"):
        wrong = reversal.reverses
        if wrong is None or _amounts(wrong) != {id: -amount for id, amount in _amounts(reversal).items()}:
            yield Discrepancy(f"transaction {reversal.id}", "it is not the opposite of what it reverses")


def _amounts(made: Transaction) -> dict[UUID, int]:
    return dict(made.entries.values_list("account_id", "amount"))


class _Books:
    """One pass over the charges; what they must have led to is summed up on the way."""

    def __init__(self) -> None:
        self._starts = _starts_by_model()
        self._held: dict[UUID, int] = defaultdict(int)
        self._spent: dict[tuple[UUID, date], int] = defaultdict(int)
        self._rollups: dict[UUID, dict[str, int]] = {}

    def check(self) -> Iterator[Discrepancy]:
        for charges in _in_chunks():
            tariffs = tariffs_of(charge.price_id for charge in charges if charge.price_id)
            posted = _posted_amounts([charge.id for charge in charges])
            for charge in charges:
                yield from self._price(charge, tariffs)
                yield from _posting(charge, posted.get(charge.id))
                self._sum_up(charge)
            self._roll_up(charges)
        yield from _charges_of_nothing()
        yield from self._wallets()
        yield from self._spends()
        yield from self._roll_ups()

    def _price(self, charge: Charge, tariffs: Mapping[UUID, Tariff]) -> Iterator[Discrepancy]:
        if charge.price_id is None:
            return
        tariff = tariffs.get(charge.price_id)
        if tariff is None or tariff.model != charge.model:
            yield Discrepancy(_name(charge), f"{charge.price_id} is no price of {charge.model!r}")
            return
        if self._was_superseded(tariff, charge.admitted_at):
            yield Discrepancy(
                _name(charge), f"the price {tariff.price_id} was not in force when it was admitted"
            )
        if charge.state == Charge.State.HELD:
            return
        cost = tariff.cost(charge.units)
        if cost != charge.cost:
            yield Discrepancy(
                _name(charge), f"what was used costs {cost} nano-USD, but {charge.cost} nano-USD were billed"
            )

    def _was_superseded(self, tariff: Tariff, at: datetime) -> bool:
        starts = self._starts[tariff.model]
        following = starts[bisect_right(starts, tariff.starts_at) :]
        return tariff.starts_at > at + SLACK or bool(following and following[0] < at - SLACK)

    def _sum_up(self, charge: Charge) -> None:
        amount = charge.held if charge.state == Charge.State.HELD else charge.cost or 0
        if charge.state != Charge.State.POSTED:
            self._held[charge.workspace_id] += amount
        for scope in (charge.workspace_id, charge.key_id):
            if scope is not None:
                self._spent[scope, charge.admitted_at.date()] += amount

    def _roll_up(self, charges: Sequence[Charge]) -> None:
        posted = [charge for charge in charges if charge.state == Charge.State.POSTED]
        for group, sums in rollups.summed(posted).items():
            total = self._rollups.setdefault(group.id, dict.fromkeys(rollups.SUMS, 0))
            for name, count in sums.items():
                total[name] += count

    def _wallets(self) -> Iterator[Discrepancy]:
        of_wallets = Entry.objects.filter(account__kind=Account.Kind.WALLET)
        balances = dict(of_wallets.values_list("account_id").annotate(total=Sum("amount")))
        for wallet in Wallet.objects.iterator(CHUNK):
            name = f"wallet of workspace {wallet.workspace_id}"
            balance = balances.pop(account_id(Account.Kind.WALLET, wallet.workspace_id), 0)
            if wallet.balance != balance:
                yield Discrepancy(name, f"its balance is {wallet.balance}, the ledger's {balance} nano-USD")
            held = self._held.pop(wallet.workspace_id, 0)
            if wallet.held != held:
                yield Discrepancy(name, f"it holds {wallet.held}, its charges {held} nano-USD")
        for id in balances:
            yield Discrepancy(f"account {id}", "it has entries, but there is no wallet")
        for workspace_id, held in self._held.items():
            if held:
                yield Discrepancy(
                    f"workspace {workspace_id}", f"{held} nano-USD are held, but it has no wallet"
                )

    def _spends(self) -> Iterator[Discrepancy]:
        for spend in Spend.objects.iterator(CHUNK):
            spent = self._spent.pop((spend.scope_id, spend.day), 0)
            if spend.amount != spent:
                yield Discrepancy(
                    f"spend of {spend.scope_id} on {spend.day}",
                    f"{spend.amount} nano-USD are counted for its budgets, {spent} were spent",
                )
        for (scope_id, day), amount in self._spent.items():
            if amount:
                yield Discrepancy(f"spend of {scope_id} on {day}", f"{amount} nano-USD are not counted")

    def _roll_ups(self) -> Iterator[Discrepancy]:
        for rollup in UsageRollup.objects.iterator(CHUNK):
            sums = self._rollups.pop(rollup.id, dict.fromkeys(rollups.SUMS, 0))
            wrong = {name for name in rollups.SUMS if getattr(rollup, name) != sums[name]}
            if wrong:
                yield Discrepancy(f"roll-up {rollup.id} ({rollup})", f"wrong: {', '.join(sorted(wrong))}")
        for id in self._rollups:
            yield Discrepancy(f"roll-up {id}", "it is missing")


def _posting(charge: Charge, posted: int | None) -> Iterator[Discrepancy]:
    due = -charge.cost if charge.cost and charge.state == Charge.State.POSTED else None
    if posted != due:
        yield Discrepancy(
            _name(charge), f"{due or 0} nano-USD of it should be in the ledger, and {posted or 0} are"
        )


def _posted_amounts(charge_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What the ledger took from wallets, by charge."""
    entries = Entry.objects.filter(
        transaction__charge_id__in=charge_ids,
        transaction__kind=Transaction.Kind.CHARGE,
        account__kind=Account.Kind.WALLET,
    )
    return dict(entries.values_list("transaction__charge_id").annotate(total=Sum("amount")))


def _charges_of_nothing() -> Iterator[Discrepancy]:
    known = Charge.objects.values("id")
    strays = Transaction.objects.filter(charge_id__isnull=False).exclude(charge_id__in=known)
    for id in strays.values_list("id", flat=True):
        yield Discrepancy(f"transaction {id}", "it charges for something that was never admitted")


def _in_chunks() -> Iterator[list[Charge]]:
    last = UUID(int=0)
    while charges := list(Charge.objects.filter(id__gt=last).order_by("id")[:CHUNK]):
        yield charges
        last = charges[-1].id


def _starts_by_model() -> dict[str, list[datetime]]:
    starts: dict[str, list[datetime]] = defaultdict(list)
    for model, starts_at in Price.objects.order_by("starts_at").values_list("model", "starts_at"):
        starts[model].append(starts_at)
    return starts


def _name(charge: Charge) -> str:
    return f"{charge.kind} {charge.id.hex}"
