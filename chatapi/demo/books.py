"""What the answers cost: charges with their postings, and what is summed up of them.

Everything is posted already, as the service's workers would have done a few seconds after each answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from random import Random
from typing import NamedTuple
from uuid import UUID

from billing.models import Account, Charge, Transaction, account_id
from billing.rollups import Group, Width
from billing.tariffs import Tariff
from billing.units import Units
from chatapi.demo.people import Owner
from chatapi.demo.rows import Ids, Milliseconds, as_datetime, as_milliseconds, time_text
from chatapi.demo.tables import Row
from core.ids import derive_id
from core.money import NANO_PER_USD

HOUR = 3_600_000
DAY = 24 * HOUR
POSTED_AFTER = 4000
_REVENUE, _PAYMENT = account_id(Account.Kind.REVENUE).hex, account_id(Account.Kind.PAYMENT).hex


class Bill(NamedTuple):
    """What one answer used. `id` is the completion's."""

    id: str
    owner: Owner
    tariff: Tariff
    units: Units
    admitted_at: Milliseconds
    ended_at: Milliseconds
    end: str
    is_estimated: bool


class Books:
    """The rows of all charges, and at the end those of what they sum up to."""

    def __init__(self, random: Random, ids: Ids) -> None:
        self._random = random
        self._ids = ids
        self.charges: list[Row] = []
        self.transactions: list[Row] = []
        self.entries: list[Row] = []
        self._spends: dict[tuple[str, int], int] = defaultdict(int)
        self._sums: dict[tuple[str, int, str, int, str | None, str], list[int]] = {}
        self._wallets: dict[str, str] = {}
        self._costs: dict[tuple[str, datetime], int] = defaultdict(int)

    def charge(self, bill: Bill) -> int:
        """Charge for an answer; return what it costs, in nano-USD."""
        owner, tariff, units = bill.owner, bill.tariff, bill.units
        cost = tariff.cost(units)
        counts = tuple(units.counts.values())
        self.charges.append(
            (
                bill.id,
                Charge.Kind.COMPLETION.value,
                Charge.State.POSTED.value,
                owner.workspace_id,
                owner.user_id,
                owner.key_id,
                tariff.model,
                tariff.price_id.hex,
                3 * cost,
                *counts,
                1,
                int(bill.is_estimated),
                cost,
                bill.end,
                None,
                time_text(bill.admitted_at),
                time_text(bill.ended_at),
            )
        )
        self._add_up(bill, counts, cost)
        if cost:
            self._spend(bill, cost)
            self._post(bill, cost)
        return cost

    def _spend(self, bill: Bill, cost: int) -> None:
        day = bill.admitted_at // DAY
        for scope in (bill.owner.workspace_id, bill.owner.key_id):
            if scope is not None:
                self._spends[scope, day] += cost

    def _post(self, bill: Bill, cost: int) -> None:
        at = bill.ended_at + POSTED_AFTER
        moment = as_datetime(at)
        month = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self._costs[bill.owner.workspace_id, month] += cost
        self._move(Transaction.Kind.CHARGE.value, bill.owner.workspace_id, -cost, at, bill.id)

    def _move(
        self,
        kind: str,
        workspace_id: str,
        amount: int,
        at: Milliseconds,
        charge_id: str | None,
        reason: str = "",
    ) -> None:
        id, new = self._ids.at(at), self._ids.at
        by = "manage.py seed_demo" if reason else ""
        self.transactions.append((id, kind, workspace_id, charge_id, reason, by, time_text(at)))
        self.entries.append((new(at), id, self._wallet(workspace_id), amount))
        self.entries.append((new(at), id, _PAYMENT if charge_id is None else _REVENUE, -amount))

    def _wallet(self, workspace_id: str) -> str:
        if workspace_id not in self._wallets:
            self._wallets[workspace_id] = account_id(Account.Kind.WALLET, UUID(workspace_id)).hex
        return self._wallets[workspace_id]

    def _add_up(self, bill: Bill, counts: Sequence[int], cost: int) -> None:
        owner = bill.owner
        hour = bill.ended_at // HOUR
        for width, start in ((Width.HOUR.value, hour * HOUR), (Width.DAY.value, hour // 24 * DAY)):
            group = (width, start, owner.workspace_id, owner.user_id, owner.key_id, bill.tariff.model)
            sums = self._sums.get(group)
            if sums is None:
                self._sums[group] = [1, *counts, cost]
            else:
                sums[0] += 1
                for place, count in enumerate(counts, start=1):
                    if count:
                        sums[place] += count
                sums[-1] += cost

    # --- at the end -------------------------------------------------------------------------------

    def spends(self) -> Iterator[Row]:
        for (scope, day), amount in self._spends.items():
            date = as_datetime(day * DAY).date().isoformat()
            yield derive_id(UUID(scope), date).hex, scope, date, amount

    def rollups(self) -> Iterator[Row]:
        kind = Charge.Kind.COMPLETION.value
        for (width, start, workspace_id, user_id, key_id, model), sums in self._sums.items():
            key = UUID(key_id) if key_id else None
            group = Group(width, as_datetime(start), UUID(workspace_id), user_id, key, model, kind)
            yield (
                *(group.id.hex, width, time_text(start), workspace_id, user_id, key_id, model, kind),
                *sums,
                0,
            )

    def pay(self, workspaces: Iterable[str], begin: Milliseconds, credit_limit: int | None) -> Iterator[Row]:
        """Top up each workspace at the start of each month by what it then spends; yield the wallets."""
        balances: dict[str, int] = defaultdict(int)
        for (workspace_id, month), cost in sorted(self._costs.items()):
            paid = -(-cost * self._random.randint(105, 150) // 100 // (10 * NANO_PER_USD)) * 10 * NANO_PER_USD
            at = max(begin, as_milliseconds(month))
            self._move(Transaction.Kind.TOP_UP.value, workspace_id, paid, at, None, "Monthly payment")
            balances[workspace_id] += paid - cost
        for workspace_id in workspaces:
            yield workspace_id, balances[workspace_id], 0, credit_limit, "", time_text(begin)
