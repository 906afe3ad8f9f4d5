"""Monthly statements: what moved in a closed month, created once, and right to the last digit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from threading import Event, Timer
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from billing import ledger, statements, verification
from billing.models import Statement, Transaction
from billing.statements import StatementReport, create_missing_statements, find_report
from billing.tasks import make_statements
from billing.units import Units
from tests.support.billed_months import (
    SHORT_COST,
    USD,
    create_wallet,
    day,
    frozen_clock,
    post,
    post_call,
    settle_call,
)
from tests.support.people import Person, person

JANUARY, FEBRUARY, MARCH, APRIL = (date(2026, month, 1) for month in range(1, 5))


def pay(who: Person, at: datetime, amount: int, reason: str = "Invoice 7") -> Transaction:
    with frozen_clock(at):
        return ledger.top_up(who.workspace.id, amount, reason=reason, by="treasurer@example.com")


def close(at: datetime) -> int:
    with frozen_clock(at):
        return create_missing_statements()


def report_at(who: Person, month: date, at: datetime, **limit: int) -> StatementReport:
    with frozen_clock(at):
        found = find_report(who.workspace.id, month, **limit)
    assert found
    return found


def statement_of(who: Person, month: date) -> Statement:
    return Statement.objects.get(workspace_id=who.workspace.id, month=month)


def assert_ledger_adds_up() -> None:
    assert [str(one) for one in verification.discrepancies()] == []


def test_two_months(alice: Person) -> None:
    create_wallet(alice)
    pay(alice, day(2), 5 * USD)
    post_call(alice, day(3))
    post_call(alice, day(3), Units(prompt=100, cached=10), model="gpt-mini")
    with frozen_clock(day(20)):
        ledger.grant_promotion(alice.workspace.id, USD, reason="Welcome", by="treasurer@example.com")
    wrong = post_call(alice, day(4, month=2))
    with frozen_clock(day(5, month=2)):
        charged = Transaction.objects.get(charge_id=wrong.id)
        ledger.reverse(charged.id, reason="It was cut off", by="treasurer@example.com")

    assert close(day(2, month=3)) == 2

    january, february = statement_of(alice, JANUARY), statement_of(alice, FEBRUARY)
    spent = SHORT_COST + 105_000
    assert (january.opening, january.closing) == (0, 6 * USD - spent)
    assert january.totals == {
        "charge": -spent,
        "top_up": 5 * USD,
        "promotion": USD,
        "adjustment": 0,
        "reversal": 0,
    }
    assert [(line["model"], line["kind"], line["requests"], line["amount"]) for line in january.lines] == [
        ("gpt", "completion", 1, -SHORT_COST),
        ("gpt-mini", "completion", 1, -105_000),
    ]
    assert january.lines[1]["units"]["cached"] == 10
    assert (february.opening, february.closing) == (january.closing, january.closing)
    assert (february.totals["charge"], february.totals["reversal"]) == (-SHORT_COST, SHORT_COST)
    assert_ledger_adds_up()


def test_a_month_is_closed_once(alice: Person) -> None:
    create_wallet(alice)
    post_call(alice, day(3))

    assert close(day(1, month=2)) == 1
    first = statement_of(alice, JANUARY)
    assert close(day(2, month=2)) == 0
    assert statement_of(alice, JANUARY).created_at == first.created_at == day(1, month=2)


def test_two_workers_at_once_create_one_statement(alice: Person) -> None:
    create_wallet(alice)
    workspace_id = alice.workspace.id

    with frozen_clock(day(1, month=2)):
        statements.close_month(workspace_id, JANUARY)
        statements.close_month(workspace_id, JANUARY)

    assert Statement.objects.count() == 1


@pytest.mark.parametrize(("minute", "made"), [(5, 0), (11, 1)])
def test_clocks_may_differ_by_minutes(minute: int, made: int, alice: Person) -> None:
    create_wallet(alice)

    assert close(day(1, month=2, hour=0, minute=minute)) == made


def test_months_missed_by_a_dead_schedule_are_made_up_for(alice: Person, bob: Person) -> None:
    create_wallet(alice)
    post_call(alice, day(3))
    post_call(alice, day(3, month=3))

    assert close(day(2, month=4)) == 3

    assert [statement_of(alice, month).opening for month in (JANUARY, FEBRUARY, MARCH)] == [
        0,
        -SHORT_COST,
        -SHORT_COST,
    ]
    assert statement_of(alice, FEBRUARY).lines == []
    assert_ledger_adds_up()


def test_a_run_ends_in_time_and_the_next_continues(alice: Person) -> None:
    create_wallet(alice)

    for left in (2, 1, 0):
        with frozen_clock(day(2, month=4)):
            assert create_missing_statements(seconds=-1) == 1
        assert Statement.objects.count() == 3 - left


def test_one_workspaces_failure_holds_up_no_other(alice: Person, charlie: Person) -> None:
    create_wallet(alice)
    create_wallet(charlie)
    hers = {alice.workspace.id, alice.workspace.id.hex}

    def fail_for_alice(execute: Callable[..., Any], sql: str, params: Any, *more: Any) -> Any:
        if "SUM(" in sql and hers.intersection(params or ()):
            raise OverflowError("integer overflow")
        return execute(sql, params, *more)

    with connection.execute_wrapper(fail_for_alice):
        assert close(day(2, month=2)) == 1
    assert close(day(2, month=2)) == 1


def test_every_wallet_has_statements_since_it_was_opened(alice: Person, charlie: Person) -> None:
    create_wallet(alice)
    create_wallet(charlie, day(5, month=2))

    assert close(day(2, month=3)) == 3
    assert Statement.objects.filter(workspace_id=charlie.workspace.id).count() == 1


def test_a_call_that_ended_before_midnight_is_in_the_month_it_was_posted_in(alice: Person) -> None:
    create_wallet(alice)
    settle_call(alice, day(31, hour=23, minute=59, second=59))
    post(day(1, month=2, hour=0, second=4))

    close(day(2, month=3))

    assert (statement_of(alice, JANUARY).lines, statement_of(alice, JANUARY).totals["charge"]) == ([], 0)
    assert [line["amount"] for line in statement_of(alice, FEBRUARY).lines] == [-SHORT_COST]
    assert_ledger_adds_up()


def test_months_end_at_midnight_utc(alice: Person) -> None:
    create_wallet(alice)
    pay(alice, day(31, hour=23, minute=59, second=59), 1)
    pay(alice, day(1, month=2, hour=0), 10)

    close(day(2, month=3))

    assert (statement_of(alice, JANUARY).closing, statement_of(alice, FEBRUARY).closing) == (1, 11)


def test_movements_before_the_wallet_was_opened_are_in_the_opening_balance(alice: Person) -> None:
    create_wallet(alice, day(5, month=2))
    pay(alice, day(5), 7)

    close(day(2, month=3))

    assert (statement_of(alice, FEBRUARY).opening, statement_of(alice, FEBRUARY).closing) == (7, 7)
    assert_ledger_adds_up()


def test_the_current_month_is_a_preview(alice: Person) -> None:
    create_wallet(alice)
    pay(alice, day(2), 5 * USD)
    close(day(1, month=2))
    post_call(alice, day(3, month=2))

    shown = report_at(alice, FEBRUARY, day(4, month=2))

    assert not shown.is_closed
    assert (shown.statement.opening, shown.statement.closing) == (5 * USD, 5 * USD - SHORT_COST)
    assert Statement.objects.count() == 1
    assert report_at(alice, JANUARY, day(4, month=2)).is_closed


def test_other_months_have_no_report(alice: Person, charlie: Person) -> None:
    create_wallet(alice, day(5, month=2))

    with frozen_clock(day(4, month=3)):
        assert find_report(alice.workspace.id, JANUARY) is None
        assert find_report(alice.workspace.id, APRIL) is None
        assert find_report(charlie.workspace.id, FEBRUARY) is None
        assert find_report(charlie.workspace.id, MARCH)


def test_movements_other_than_charges_are_listed_and_the_rest_summed_up(alice: Person) -> None:
    create_wallet(alice)
    for number in (1, 2, 3):
        pay(alice, day(number), number)
    post_call(alice, day(4))

    shown = report_at(alice, JANUARY, day(5), listed=2)

    assert [(booking.amount, booking.transaction.kind) for booking in shown.movements] == [
        (1, "top_up"),
        (2, "top_up"),
    ]
    assert (shown.others, shown.others_amount) == (1, 3)
    whole = report_at(alice, JANUARY, day(5))
    assert (len(whole.movements), whole.others, whole.others_amount) == (3, 0, 0)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"opening": 1}, {"opening or its totals", "close with"}),
        ({"closing": 1}, {"close with"}),
        ({"lines": []}, {"lines"}),
        ({"totals": {}}, {"opening or its totals", "close with"}),
    ],
)
def test_verification_finds_what_is_wrong(columns: dict[str, object], found: set[str], alice: Person) -> None:
    create_wallet(alice)
    post_call(alice, day(3))
    close(day(2, month=2))
    Statement.objects.update(**columns)

    reported = [str(one) for one in verification.discrepancies()]

    assert len(reported) == len(found)
    assert all(any(words in text for text in reported) for words in found)


def test_the_scheduled_task_creates_statements(alice: Person) -> None:
    create_wallet(alice)
    post_call(alice, day(3))

    with frozen_clock(day(2, month=2)):
        make_statements()

    assert statement_of(alice, JANUARY).totals["charge"] == -SHORT_COST


def test_a_statement_has_only_its_workspaces_calls(alice: Person, charlie: Person) -> None:
    for who in (alice, charlie):
        create_wallet(who)
        post_call(who, day(3))
    post_call(charlie, day(4))

    close(day(2, month=2))

    def requests(workspace_id: UUID) -> int:
        statement = Statement.objects.get(workspace_id=workspace_id)
        return sum(line["requests"] for line in statement.lines)

    assert (requests(alice.workspace.id), requests(charlie.workspace.id)) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_closing_waits_for_transactions_still_running_in_that_month() -> None:
    alice = person("alice@example.com")
    create_wallet(alice)
    paying, enough = Event(), Event()

    def pay_slowly() -> None:
        with transaction.atomic():
            pay(alice, day(31, hour=23, minute=59, second=59), 5 * USD)
            paying.set()
            enough.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as clerk:
        payment = clerk.submit(pay_slowly)
        assert paying.wait(10)
        Timer(0.5, enough.set).start()
        close(day(1, month=2))
        payment.result()

    assert statement_of(alice, JANUARY).closing == 5 * USD
