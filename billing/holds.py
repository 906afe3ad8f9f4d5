"""The hot path: holds for what calls may cost at most, and settlements of what they did cost, in batches.

There is one `HoldBatch` per transaction, which the caller has begun. It looks up prices, locks the wallets
involved in one fixed order, decides in memory, and writes each table once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone

from billing.exceptions import Unaffordable, UnaffordableBeside, Unpriced
from billing.models import Budget, Charge, Spend, Wallet
from billing.prices import (
    DeclaredPrices,
    add_declared_prices,
    cached_current_tariffs,
    current_tariffs,
    tariffs_of,
)
from billing.tariffs import Bound, Tariff
from billing.token_limits import TokenLimits
from billing.units import Units
from billing.wallet_locks import LockedWallet, lock_wallets
from core.bulk_sql import execute, fetch, id_from_driver, id_to_driver, insert_rows, update_rows
from core.ids import derive_id
from core.money import format_usd

ChargeKind = Literal["completion", "speech", "transcription"]


class ChargeRequest(msgspec.Struct, frozen=True):
    """A call that asks to be admitted.

    `models` are those that may answer it, the requested one first. `declared` returns what the models file
    says about prices, for models that the price book does not know. `what` is to be paid for, in words for
    whoever cannot pay; if `tells_amounts`, they are told what is left in wallet and budgets.
    """

    charge_id: UUID
    kind: ChargeKind
    workspace_id: UUID
    user_id: int | None
    key_id: UUID | None
    models: tuple[str, ...]
    at: datetime
    process_id: UUID | None = None
    declared: Callable[[], DeclaredPrices] = dict
    what: str = "This call"
    token_id: UUID | None = None
    tells_amounts: bool = False


class Hold(msgspec.Struct, frozen=True):
    """What an admitted call was promised: the price of each model that may answer it.

    `amount` is held for it, in nano-USD.
    """

    request: ChargeRequest
    prices: Mapping[str, UUID]
    amount: int


class ChargeSettlement(msgspec.Struct, frozen=True):
    """What an admitted call used in the end. `model` is the one that answered.

    `requests` are how often it was asked, each time with the same prompt. What `is_estimated` costs no more
    than was held.
    """

    hold: Hold
    model: str
    units: Units
    end: str
    at: datetime
    is_estimated: bool = False
    requests: int = 1

    @property
    def charge_id(self) -> UUID:
        return self.hold.request.charge_id

    @property
    def price_id(self) -> UUID | None:
        """The price that was promised; None if the model is unpriced."""
        return self.hold.prices.get(self.model)

    def cost(self, tariff: Tariff) -> int:
        return billed_cost(
            tariff, self.units, self.requests, self.hold.amount, is_estimated=self.is_estimated
        )


def billed_cost(tariff: Tariff, units: Units, requests: int, held: int, *, is_estimated: bool) -> int:
    """Return what is billed, in nano-USD: only an upstream's own count may cost more than was held."""
    cost = tariff.cost(units, requests)
    return min(cost, held) if is_estimated else cost


def charge_request_of(charge: Charge) -> ChargeRequest:
    """Rebuild the request behind a charge, with what its settlement needs."""
    return ChargeRequest(
        charge_id=charge.id,
        kind=cast("ChargeKind", charge.kind),
        workspace_id=charge.workspace_id,
        user_id=charge.user_id,
        key_id=charge.key_id,
        models=(charge.model,),
        at=charge.admitted_at,
        process_id=charge.process_id,
        token_id=charge.token_id,
    )


class WalletChanged(Exception):
    """Another process spent from a wallet after we read it and before we wrote it. Try again."""


class HoldBatch:
    """What one transaction settles and holds.

    On entry it settles the calls that ended and locks every wallet that is involved; `hold` decides about new
    calls; on exit it writes what was held. `costs` are in nano-USD by call, of those that were settled now;
    None for one that has no price.
    """

    def __init__(self, requests: Sequence[ChargeRequest], settlements: Sequence[ChargeSettlement]) -> None:
        self.costs: dict[UUID, int | None] = {}
        self._requests = requests
        self._settlements = settlements
        self._tariffs: Mapping[str, Tariff] = {}
        self._wallets: Mapping[UUID, LockedWallet] = {}
        self._limits = _Limits()
        self._token_limits = TokenLimits()
        self._charges: list[dict[str, Any]] = []
        self._new_holds: dict[UUID, int] = defaultdict(int)
        self._released: dict[UUID, int] = defaultdict(int)
        self._spend_changes: dict[tuple[UUID, date], int] = defaultdict(int)
        self._spent_by_tokens: dict[UUID, int] = defaultdict(int)

    def __enter__(self) -> "HoldBatch":
        self._tariffs = _tariffs_for(self._requests, timezone.now())
        self._settle_all()
        self._wallets = lock_wallets({*self._costly_workspaces(), *self._released}, self._released)
        self._limits = _Limits.read(self._requests, self._wallets)
        self._token_limits = TokenLimits.read(self._costly_tokens())
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            self._write()

    def hold(self, request: ChargeRequest, bound: Callable[[], Bound], beside: int = 0) -> Hold:
        """Hold what this call may cost at most. Raises `Unaffordable` or `Unpriced`.

        `bound` is called only if a price is not free. `beside` is in nano-USD: what must be left for the
        transcripts of the call's sounds, which are charged for when they are made. If that is too much,
        `UnaffordableBeside` is raised.
        """
        tariffs = [self._tariff(model) for model in request.models]
        amount = _max_cost([tariff for tariff in tariffs if tariff], bound)
        self.check(request, amount)
        if beside:
            self._check_beside(request, amount, beside)
        if amount:
            self._new_holds[request.workspace_id] += amount
            self._spend(request, amount)
        first_tariff = tariffs[0]
        self._charges.append(
            {
                "id": request.charge_id,
                "kind": request.kind,
                "workspace_id": request.workspace_id,
                "user_id": request.user_id,
                "key_id": request.key_id,
                "token_id": request.token_id,
                "model": request.models[0],
                "price_id": first_tariff and first_tariff.price_id,
                "held": amount,
                "process_id": request.process_id,
                "admitted_at": request.at,
            }
        )
        return Hold(request, {tariff.model: tariff.price_id for tariff in tariffs if tariff}, amount)

    def max_cost(self, request: ChargeRequest, bound: Callable[[], Bound]) -> int:
        """Return the most that this may cost, in nano-USD. Raises `Unpriced`."""
        tariffs = [self._tariff(model) for model in request.models]
        return _max_cost([tariff for tariff in tariffs if tariff], bound)

    def is_free(self, request: ChargeRequest) -> bool:
        tariffs = [self._tariff(model) for model in request.models]
        return all(tariff is not None and tariff.is_free for tariff in tariffs)

    def check(self, request: ChargeRequest, amount: int) -> None:
        """Check that so much can be paid now. Raises `Unaffordable`."""
        if amount:
            self._check(request, amount, lambda: f"{request.what} may cost up to {format_usd(amount)} USD")

    def _check_beside(self, request: ChargeRequest, amount: int, beside: int) -> None:
        def demand() -> str:
            own = f" beside the {format_usd(amount)} USD that it may cost itself" if amount else ""
            return f"The transcripts of this call's sounds cost {format_usd(beside)} USD{own}"

        try:
            self._check(request, amount + beside, demand)
        except Unaffordable as problem:
            raise UnaffordableBeside(str(problem)) from None

    def _write(self) -> None:
        """Write the new charges, their holds, and the changes of spends."""
        insert_rows(Charge, self._charges)
        for workspace_id, added in sorted(self._new_holds.items()):
            _add_hold(workspace_id, added)
        _add_spends({scope: amount for scope, amount in self._spend_changes.items() if amount})

    # --- holding ----------------------------------------------------------------------------------

    def _tariff(self, model: str) -> Tariff | None:
        tariff = self._tariffs.get(model)
        if tariff is None and settings.CHATAPI_UNPRICED == "refuse":
            raise Unpriced(model)
        return tariff

    def _check(self, request: ChargeRequest, amount: int, demand: Callable[[], str]) -> None:
        """Check an amount; `demand` says what it is for, if it is too much."""
        if request.token_id is not None:
            self._check_token(request.token_id, amount, demand)
        self._check_wallet(request, amount, demand)
        self._limits.check(request, amount, self._spend_changes, demand)

    def _check_wallet(self, request: ChargeRequest, amount: int, demand: Callable[[], str]) -> None:
        available = self._wallets[request.workspace_id].available - self._new_holds[request.workspace_id]
        if amount > available:
            advice = "Ask for a shorter answer, or have" if request.kind == "completion" else "Have"
            left = f"{format_usd(max(0, available))} USD are" if request.tells_amounts else "less is"
            raise Unaffordable(
                f"{demand()}, and {left} left to spend in this workspace. {advice} it topped up."
            )

    def _check_token(self, token_id: UUID, amount: int, demand: Callable[[], str]) -> None:
        self._token_limits.check(token_id, amount, self._spent_by_tokens[token_id], demand)

    def _spend(self, request: ChargeRequest, amount: int) -> None:
        day = request.at.date()
        for scope in (request.workspace_id, request.key_id, request.token_id):
            if scope is not None:
                self._spend_changes[scope, day] += amount
        if request.token_id is not None:
            self._spent_by_tokens[request.token_id] += amount

    # --- settling ---------------------------------------------------------------------------------

    def _settle_all(self) -> None:
        tariffs = tariffs_of(end.price_id for end in self._settlements if end.price_id)
        # in one fixed order, like the wallets
        for end in sorted(self._settlements, key=lambda end: end.charge_id):
            self._settle(end, end.cost(tariffs[end.price_id]) if end.price_id else None)

    def _settle(self, end: ChargeSettlement, cost: int | None) -> None:
        request = end.hold.request
        settled = {
            "state": Charge.State.SETTLED.value,
            "model": end.model,
            "price_id": end.price_id,
            **end.units.counts,
            "requests": end.requests,
            "is_estimated": end.is_estimated,
            "cost": cost,
            "end": end.end,
            "ended_at": end.at,
        }
        where = {"id": end.charge_id, "state": Charge.State.HELD.value}
        if not update_rows(Charge, [(where, settled)])[0]:
            return  # a sweep has settled it, since its process was silent for too long
        self.costs[end.charge_id] = cost
        if difference := end.hold.amount - (cost or 0):
            self._released[request.workspace_id] += difference
            self._spend(request, -difference)

    def _costly_workspaces(self) -> Iterable[UUID]:
        for request in self._requests:
            tariffs = (self._tariffs.get(model) for model in request.models)
            if any(tariff and not tariff.is_free for tariff in tariffs):
                yield request.workspace_id

    def _costly_tokens(self) -> set[UUID]:
        """Return the tokens of calls that may cost something."""
        return {
            request.token_id
            for request in self._requests
            if request.token_id is not None and request.workspace_id in self._wallets
        }


class _Limits:
    """The budgets that apply to the calls, by scope, and what is spent of them."""

    def __init__(
        self,
        budgets: Mapping[UUID, list[Budget]] = MappingProxyType({}),
        used: Mapping[tuple[UUID, date], int] = MappingProxyType({}),
    ) -> None:
        self._budgets = budgets
        self._used = used

    @classmethod
    def read(cls, requests: Sequence[ChargeRequest], wallets: Mapping[UUID, LockedWallet]) -> "_Limits":
        budgeted = [
            request
            for request in requests
            if request.workspace_id in wallets and wallets[request.workspace_id].has_budgets
        ]
        if not budgeted:
            return cls()
        budgets: dict[UUID, list[Budget]] = defaultdict(list)
        keys = {request.key_id for request in budgeted}
        for budget in Budget.objects.filter(workspace_id__in={request.workspace_id for request in budgeted}):
            if budget.key_id is None or budget.key_id in keys:
                budgets[budget.scope_id].append(budget)
        if not budgets:
            return cls()
        first = min(request.at.date().replace(day=1) for request in budgeted)
        spends = Spend.objects.filter(scope_id__in=budgets, day__gte=first)
        return cls(budgets, {(spend.scope_id, spend.day): spend.amount for spend in spends})

    def check(
        self,
        request: ChargeRequest,
        amount: int,
        spent: Mapping[tuple[UUID, date], int],
        demand: Callable[[], str],
    ) -> None:
        """Check a call against its budgets. `spent` is what this transaction adds. Raises `Unaffordable`."""
        day = request.at.date()
        for scope in (request.key_id, request.workspace_id):
            for budget in self._budgets.get(scope, ()) if scope else ():
                used = self._in_period(budget, day, self._used) + self._in_period(budget, day, spent)
                if used + amount > budget.limit:
                    raise Unaffordable(f"{demand()}, and {_what_is_left(budget, used, request)}.")

    @staticmethod
    def _in_period(budget: Budget, day: date, amounts: Mapping[tuple[UUID, date], int]) -> int:
        if budget.period == Budget.Period.DAY:
            return amounts.get((budget.scope_id, day), 0)
        month = (day.year, day.month)
        return sum(
            amount
            for (scope, spent_on), amount in amounts.items()
            if scope == budget.scope_id and (spent_on.year, spent_on.month) == month
        )


def _what_is_left(budget: Budget, used: int, request: ChargeRequest) -> str:
    whose = "API key" if budget.key_id else "workspace"
    if not request.tells_amounts:
        return f"less is left of the {whose}'s budget for this {budget.period}"
    return (
        f"of this {whose}'s budget of {format_usd(budget.limit)} USD a {budget.period} "
        f"{format_usd(max(0, budget.limit - used))} USD are left"
    )


def _tariffs_for(requests: Sequence[ChargeRequest], now: datetime) -> dict[str, Tariff]:
    """Return the tariffs of all models that may answer.

    A new model that has a price in the models file gets it in the price book now.
    """
    models = {model for request in requests for model in request.models}
    if not models:
        return {}
    tariffs = cached_current_tariffs(models, now)
    if len(tariffs) == len(models):
        return tariffs
    missing = {
        model: price
        for request in requests
        for model, price in request.declared().items()
        if model in request.models and model not in tariffs
    }
    if missing:
        add_declared_prices(missing)
        tariffs |= current_tariffs(missing, timezone.now())
    return tariffs


def _max_cost(tariffs: Iterable[Tariff], bound: Callable[[], Bound]) -> int:
    costly = [tariff for tariff in tariffs if not tariff.is_free]
    return max(tariff.max_cost(bound()) for tariff in costly) if costly else 0


_ADD_HOLD = (
    f"UPDATE {Wallet._meta.db_table} SET held = held + ? WHERE workspace_id = ?"  # noqa: S608
    " AND (credit_limit IS NULL OR balance + credit_limit - held >= ?)"
)


def _add_hold(workspace_id: UUID, amount: int) -> None:
    """Add to a wallet's holds, by a conditional update that nothing gets past, whatever was read before."""
    if amount and not execute(_ADD_HOLD, [amount, id_to_driver(workspace_id), amount]):
        raise WalletChanged


def _add_spends(amounts: Mapping[tuple[UUID, date], int]) -> None:
    """Add to the spends of workspaces, keys and end-user tokens.

    The caller has the lock of the workspace's wallet, which also protects the spends of its keys and tokens.
    There is one statement per amount, since a workspace and its only key spend the same.
    """
    scopes: dict[int, list[tuple[UUID, date]]] = defaultdict(list)
    for scope, amount in amounts.items():
        scopes[amount].append(scope)
    for amount, equal_scopes in scopes.items():
        ids = {derive_id(scope_id, day.isoformat()): (scope_id, day) for scope_id, day in equal_scopes}
        known = {id_from_driver(id) for (id,) in fetch(_spend(len(ids)), [amount, *map(id_to_driver, ids)])}
        new = [
            {"id": id, "scope_id": scope_id, "day": day, "amount": amount}
            for id, (scope_id, day) in ids.items()
            if id not in known
        ]
        insert_rows(Spend, new)


@lru_cache
def _spend(count: int) -> str:
    places = ", ".join("?" * count)
    return f"UPDATE {Spend._meta.db_table} SET amount = amount + ? WHERE id IN ({places}) RETURNING id"  # noqa: S608
