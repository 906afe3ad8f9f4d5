"""The largest amounts: they are refused with a reason, or fit into all sums that are made of them."""

from collections.abc import Callable
from datetime import date
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from billing import ledger, verification
from billing.admin.usage import costs_by_workspace
from billing.admin.usage_chart import build_chart
from billing.charge_posting import post_settled
from billing.exceptions import InvalidBillingAction, Unaffordable
from billing.holds import ChargeRequest, ChargeSettlement, HoldBatch
from billing.models import Budget, Transaction, UsageRollup, Wallet
from billing.money import MAX_NANO_PER_CALL, MAX_NANO_PER_WALLET, MAX_PICO
from billing.prices import add_price
from billing.statements import create_missing_statements, find_report
from billing.tariffs import Bound
from billing.terms_and_budgets import add_budget, change_budget, set_terms
from billing.units import Units
from chatapi.env import env_nano_usd
from core.ids import new_id
from core.money import MAX_NANO
from tests.support.billed_months import create_wallet, day, frozen_clock
from tests.support.charges import hold
from tests.support.people import Person

JANUARY = date(2026, 1, 1)
HUGE = Bound(prompt=2**31 - 1)
BILLION = 10**18


def move_at_once(
    who: Person, amount: int, times: int, kind: Transaction.Kind = Transaction.Kind.TOP_UP
) -> None:
    """Move money without the checks, which would take one statement each."""
    with transaction.atomic():
        ledger.post_movements([ledger.Movement(kind, who.workspace.id, amount)] * times)


def call_at_the_highest_price(who: Person, times: int) -> None:
    """Admit calls and settle them at once, each at the most that a call costs."""
    if not Wallet.objects.filter(pk=who.workspace.id).exists():
        create_wallet(who)
    with frozen_clock(day(1, hour=0)):
        add_price("dearest", {0: {"prompt": MAX_PICO}})
    at = day(2)
    with frozen_clock(at):
        orders = [
            ChargeRequest(new_id(), "completion", who.workspace.id, who.user.pk, None, ("dearest",), at)
            for _ in range(times)
        ]
        with transaction.atomic(), HoldBatch(orders, []) as batch:
            holds = [batch.hold(order, lambda: HUGE) for order in orders]
        ends = [ChargeSettlement(held, "dearest", Units(prompt=2**31 - 1), "completed", at) for held in holds]
        with transaction.atomic(), HoldBatch([], ends):
            pass
        post_settled()


def assert_books_add_up() -> None:
    assert [str(one) for one in verification.discrepancies()] == []


def test_ten_top_ups_of_a_thousand_million_are_refused(alice: Person) -> None:
    create_wallet(alice)
    for _ in range(10):
        with pytest.raises(InvalidBillingAction, match=r"An amount is at most 1000000\.00 USD\."):
            ledger.top_up(alice.workspace.id, BILLION, reason="Rich", by="root")
    with pytest.raises(CommandError, match=r"1000000000 USD is more than 1000000\.00 USD"):
        call_command("top_up", alice.user.email, "1000000000", stdout=StringIO())
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_moved_by_hand_never_exceeds_what_its_sums_hold(alice: Person, sign: int) -> None:
    """Neither does moving it back and forth, which leaves the balance at nothing."""
    create_wallet(alice)
    with frozen_clock(day(3)):
        move_at_once(alice, MAX_NANO, 500)
        move_at_once(alice, -MAX_NANO, 499, Transaction.Kind.ADJUSTMENT)
        last = ledger.adjust(alice.workspace.id, sign * MAX_NANO, reason="The last", by="root")
        moves: list[Callable[[], Transaction]] = [
            lambda: ledger.adjust(alice.workspace.id, -1, reason="More", by="root"),
            lambda: ledger.top_up(alice.workspace.id, 1, reason="More", by="root"),
            lambda: ledger.grant_promotion(alice.workspace.id, 1, reason="More", by="root"),
            lambda: ledger.reverse(last.pk, reason="Back", by="root"),
        ]
        for move in moves:
            with pytest.raises(InvalidBillingAction, match=r"at most 1000000000\.00 USD together"):
                move()

    with frozen_clock(day(5, month=2)):
        assert create_missing_statements() == 1
        report = find_report(alice.workspace.id, JANUARY, listed=3)
    assert report
    assert report.statement.closing == Wallet.objects.get().balance == (sign + 1) * MAX_NANO
    assert_books_add_up()


def test_many_calls_at_the_highest_price_add_up(alice: Person, client: Client) -> None:
    """A wallet without a limit owes at most a billion USD: the next call is refused."""
    call_at_the_highest_price(alice, 1000)

    owed = Wallet.objects.get()
    assert owed.balance == -1000 * MAX_NANO_PER_CALL == -MAX_NANO_PER_WALLET
    order = ChargeRequest(
        new_id(), "completion", alice.workspace.id, alice.user.pk, None, ("dearest",), day(2)
    )
    with frozen_clock(day(2)), pytest.raises(Unaffordable, match=r"and less is left to spend"):
        hold(order)
    with frozen_clock(day(5, month=2)):
        assert create_missing_statements() == 1
    assert_books_add_up()
    usage = client.get(
        "/v1/organization/costs?start_time=1767225600&end_time=1769904000", headers=alice.headers
    )
    assert usage.status_code == 200


def test_the_chart_of_all_workspaces_sums_up_what_no_integer_of_sqlites_holds(db: None) -> None:
    for _ in range(4):
        UsageRollup.objects.create(
            id=uuid4(),
            width="day",
            starts_at=day(2, hour=0),
            workspace_id=uuid4(),
            model="dearest",
            kind="completion",
            cost=3 * BILLION + 7,
        )
    rows = UsageRollup.objects.all()

    chart = build_chart(rows, JANUARY, JANUARY.replace(day=3), "cost")

    assert chart.most == 12 * BILLION + 28
    assert [row["cost"] for row in costs_by_workspace(rows)] == [3 * BILLION + 7] * 4


@pytest.mark.parametrize("amount", [MAX_NANO + 1, BILLION, 2**63, 10**30])
def test_terms_and_budgets_are_bounded(alice: Person, amount: int) -> None:
    budget = add_budget(alice.workspace.id, None, "day", MAX_NANO)
    for change in (
        lambda: set_terms(alice.workspace.id, credit_limit=amount, low_balance=None),
        lambda: set_terms(alice.workspace.id, credit_limit=None, low_balance=amount),
        lambda: add_budget(alice.workspace.id, None, "month", amount),
        lambda: change_budget(budget.pk, amount),
        lambda: ledger.adjust(alice.workspace.id, -amount, reason="Less", by="root"),
        lambda: ledger.grant_promotion(alice.workspace.id, amount, reason="More", by="root"),
    ):
        with pytest.raises(InvalidBillingAction, match=r"1000000\.00 USD"):
            change()
    assert Budget.objects.get().limit == MAX_NANO


def test_the_default_credit_limit_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATAPI_CREDIT_LIMIT_USD", "1000000000")
    with pytest.raises(SystemExit, match=r"CHATAPI_CREDIT_LIMIT_USD: .* is more than 1000000\.00 USD"):
        env_nano_usd("CHATAPI_CREDIT_LIMIT_USD", "0")
