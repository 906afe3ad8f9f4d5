"""Charges on given days, made with the product's own functions, for tests of usage and statements.

`gpt` costs 1,000 nano-USD per prompt token, 500 per cached token and 10,000 per completion token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest.mock import patch
from uuid import UUID

from django.utils import timezone

from accounts.models import ApiKey
from billing.charge_posting import post_settled
from billing.holds import ChargeKind, ChargeRequest, ChargeSettlement, Hold
from billing.models import Charge, Price, Wallet
from billing.prices import add_price
from billing.tariffs import rates_of
from billing.units import Units
from core.ids import new_id
from tests.support.charges import hold, settle
from tests.support.people import Person

PROMPT, CACHED, COMPLETION = 1_000, 500, 10_000
USD = 10**9
SHORT = Units(prompt=3, completion=2)
SHORT_COST = 3 * PROMPT + 2 * COMPLETION


def day(day: int, month: int = 1, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    """A moment in 2026, UTC."""
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


FIRST = day(1, hour=0)


@contextmanager
def frozen_clock(at: datetime) -> Iterator[None]:
    with patch.object(timezone, "now", lambda: at):
        yield


def create_wallet(who: Person, at: datetime = FIRST, credit: int | None = None) -> Wallet:
    """Create a wallet that is older than its transactions, with no limit unless `credit` is given."""
    return Wallet.objects.create(workspace_id=who.workspace.id, credit_limit=credit, created_at=at)


def add_prices(*models: str, at: datetime = FIRST) -> None:
    written = {"prompt": "1", "cached": "0.5", "completion": "10", "audio_in": "2", "audio_out": "40"}
    for model in models:
        if not Price.objects.filter(model=model).exists():
            with frozen_clock(at):
                add_price(model, {0: rates_of(written)})


def key_of(who: Person) -> UUID:
    return ApiKey.objects.get(user=who.user, workspace=who.workspace).id


def settle_call(
    who: Person,
    at: datetime,
    units: Units = SHORT,
    *,
    model: str = "gpt",
    kind: ChargeKind = "completion",
    by_key: bool = True,
    is_priced: bool = True,
) -> Charge:
    """Admit and end a call at that moment. It is not in the ledger yet."""
    if is_priced:
        add_prices(model)
    order = ChargeRequest(
        new_id(), kind, who.workspace.id, who.user.pk, key_of(who) if by_key else None, (model,), at
    )
    with frozen_clock(at):
        settle(ChargeSettlement(hold(order), model, units, "completed", at))
    return Charge.objects.get(pk=order.charge_id)


def hold_call(who: Person, at: datetime, *, model: str = "gpt") -> Hold:
    """Admit a call at that moment. It is still running."""
    add_prices(model)
    order = ChargeRequest(new_id(), "completion", who.workspace.id, who.user.pk, key_of(who), (model,), at)
    with frozen_clock(at):
        return hold(order)


def post_call(who: Person, at: datetime, units: Units = SHORT, *, model: str = "gpt") -> Charge:
    """Admit and end a call at that moment, and post it to the ledger."""
    charge = settle_call(who, at, units, model=model)
    post(at)
    return charge


def post(at: datetime) -> None:
    with frozen_clock(at):
        post_settled()
