"""Compare what is stored with what the charges sum up to: wallets, spends, roll-ups, and meter events.

The database does the summing. Where there may be millions, stored rows and sums are read side by side in the
same order, so that little of it is held in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, QuerySet, Sum, When
from django.db.models.functions import Coalesce, TruncDate

from billing.models import Account, Charge, Entry, MeterEvent, Spend, UsageRollup, Wallet
from billing.rollups import GROUP_COLUMNS, SUMS, Group, sum_by_time

CHUNK = 2000


class Discrepancy(NamedTuple):
    """What does not add up, and how."""

    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def discrepancies() -> Iterator[Discrepancy]:
    """Yield everything that does not add up. Iterate over it within a `snapshot`."""
    yield from _wallets()
    yield from _spends()
    for width in UsageRollup.Width:
        yield from _roll_ups(width)
    yield from _meter_events()


_AMOUNT = Case(When(state=Charge.State.HELD, then=F("held")), default=Coalesce(F("cost"), 0))
"""What a charge takes from a wallet: until it has ended what it may cost, then what it does cost."""


def _wallets() -> Iterator[Discrepancy]:
    wallet_entries = Entry.objects.filter(account__kind=Account.Kind.WALLET)
    balances = dict(wallet_entries.values_list("account__workspace_id").annotate(total=Sum("amount")))
    unposted = Charge.objects.exclude(state=Charge.State.POSTED)
    holds = dict(unposted.values_list("workspace_id").annotate(total=Sum(_AMOUNT)))
    for wallet in Wallet.objects.iterator(CHUNK):
        name = f"wallet of workspace {wallet.workspace_id}"
        balance = balances.pop(wallet.workspace_id, 0)
        if wallet.balance != balance:
            yield Discrepancy(name, f"its balance is {wallet.balance}, the ledger's {balance} nano-USD")
        held = holds.pop(wallet.workspace_id, 0)
        if wallet.held != held:
            yield Discrepancy(name, f"it holds {wallet.held}, its charges {held} nano-USD")
    for workspace_id in balances:
        yield Discrepancy(f"workspace {workspace_id}", "its account has entries, but it has no wallet")
    for workspace_id, held in holds.items():
        if held:
            yield Discrepancy(f"workspace {workspace_id}", f"{held} nano-USD are held, but it has no wallet")


# --- spends ---------------------------------------------------------------------------------------


def _spends() -> Iterator[Discrepancy]:
    stored = _by_two(Spend.objects.values_list("scope_id", "day", "amount").order_by("scope_id", "day"))
    charged = merge(*map(_spent, ("workspace_id", "key_id", "token_id")))
    for (scope_id, day), amount, spent in merge_by_key(stored, charged):
        if (amount or 0) != (spent or 0):
            yield Discrepancy(
                f"spend of {scope_id} on {day}",
                f"{amount or 0} nano-USD are counted for its budgets and limits, {spent or 0} were spent",
            )


def _spent(scope: str) -> Iterator[tuple[tuple[UUID, date], int]]:
    charges = Charge.objects.filter(**{f"{scope}__isnull": False})
    days = charges.annotate(day=TruncDate("admitted_at", tzinfo=UTC)).values_list(scope, "day")
    return _by_two(days.annotate(total=Sum(_AMOUNT)).order_by(scope, "day"))


# --- roll-ups -------------------------------------------------------------------------------------


def _roll_ups(width: UsageRollup.Width) -> Iterator[Discrepancy]:
    rows = UsageRollup.objects.filter(width=width).order_by("workspace_id", "starts_at").iterator(CHUNK)
    stored = _blocks(rows, lambda row: (row.workspace_id, row.starts_at))
    posted = Charge.objects.filter(state=Charge.State.POSTED)
    sums = sum_by_time(posted, width.value, GROUP_COLUMNS).order_by("workspace_id", "at").iterator(CHUNK)
    counted = _blocks(sums, lambda row: (row["workspace_id"], row["at"]))
    for (_, start), rollups, rows_of_charges in merge_by_key(stored, counted):
        yield from _compare(str(width), start, rollups or (), rows_of_charges or ())


def _compare(
    width: str, start: datetime, rollups: Iterable[UsageRollup], counted: Iterable[dict[str, Any]]
) -> Iterator[Discrepancy]:
    """Compare the roll-ups of one workspace and one hour or day."""
    expected = {}
    for row in counted:
        expected[Group.of(width, start, row).id] = [row[f"sum_of_{name}"] or 0 for name in SUMS]
    for rollup in rollups:
        name = f"roll-up {rollup.id} ({rollup})"
        group = Group(*(getattr(rollup, field) for field in Group._fields))
        if group.id != rollup.id:
            yield Discrepancy(name, "its id is that of another group")
        sums = expected.pop(rollup.id, [0] * len(SUMS))
        wrong = [field for field, count in zip(SUMS, sums, strict=True) if getattr(rollup, field) != count]
        if wrong:
            yield Discrepancy(name, f"wrong: {', '.join(wrong)}")
    for id in expected:
        yield Discrepancy(f"roll-up {id} (the {width} of {start:%Y-%m-%d %H:%M})", "it is missing")


# --- meter events ---------------------------------------------------------------------------------


def _meter_events() -> Iterator[Discrepancy]:
    """Find hours reported with more than was spent. Less is fine, since the rest is reported later."""
    events = MeterEvent.objects.values_list("workspace_id", "hour").order_by("workspace_id", "hour")
    hours = UsageRollup.objects.filter(width=UsageRollup.Width.HOUR)
    costs = hours.values_list("workspace_id", "starts_at").order_by("workspace_id", "starts_at")
    if not MeterEvent.objects.exists():
        return
    reported = _by_two(events.annotate(total=Sum("amount")))
    spent = _by_two(costs.annotate(total=Sum("cost")))
    for (workspace_id, hour), amount, cost in merge_by_key(reported, spent):
        if amount and amount > (cost or 0):
            yield Discrepancy(
                f"meter of workspace {workspace_id} in the hour of {hour:%Y-%m-%d %H:%M}",
                f"{amount} nano-USD are told to Stripe, {cost or 0} were spent",
            )


# --- merging sorted streams -----------------------------------------------------------------------


def merge_by_key(
    left: Iterable[tuple[Any, Any]], right: Iterable[tuple[Any, Any]]
) -> Iterator[tuple[Any, Any, Any]]:
    """Merge two streams of (key, value), each sorted by key and with each key once.

    Yields every key with both of its values, None where there is none.
    """
    lefts = ((key, 0, value) for key, value in left)
    rights = ((key, 1, value) for key, value in right)
    in_order = merge(lefts, rights, key=itemgetter(0))
    for key, found in groupby(in_order, itemgetter(0)):
        values = [None, None]
        for _, side, value in found:
            values[side] = value
        yield key, values[0], values[1]


def _by_two(rows: QuerySet[Any, Any]) -> Iterator[tuple[tuple[Any, Any], int]]:
    """Return rows of three columns, sorted by the first two, which are the key, as (key, value)."""
    return (((first, second), value) for first, second, value in rows.iterator(CHUNK))


def _blocks(rows: Iterable[Any], key: Callable[[Any], Any]) -> Iterator[tuple[Any, list[Any]]]:
    return ((found, list(block)) for found, block in groupby(rows, key))
