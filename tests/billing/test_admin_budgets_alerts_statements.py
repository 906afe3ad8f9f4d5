"""Setting budgets, settling alerts and reading statements in the admin."""

from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import ApiKey
from billing import operator_alerts
from billing.models import Alert, Budget, Statement, Transaction
from billing.terms_and_budgets import add_budget
from core.ids import PROJECT, format_id, new_id
from core.money import NANO_PER_USD
from tests.support.billing_admin import (
    HOME,
    Answer,
    action_url,
    fill_in,
    form_errors,
    list_url,
    logged_messages,
    shown_messages,
)
from tests.support.media_admin import staff, superuser
from tests.support.people import Person

ADD = HOME + "budget/add/"


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def budget(alice: Person) -> Budget:
    return add_budget(alice.workspace.id, None, "day", NANO_PER_USD)


@pytest.fixture
def alert(alice: Person) -> Alert:
    id = str(alice.workspace.id)
    operator_alerts.sync_alerts(Alert.Kind.LOW_BALANCE, {id: f"The workspace {id} has 0.00 USD left."})
    return Alert.objects.get()


def key_of(who: Person) -> ApiKey:
    return ApiKey.objects.get(user=who.user)


def submit_budget(client: Client, who: Person, **values: str) -> Answer:
    body = {"workspace": who.workspace.name, "period": "day", "limit": "1.5", **values}
    return fill_in(client, ADD, **body)


# --- budgets ---------------------------------------------------------------------------------------


def test_a_workspace_and_a_key_get_budgets(operator: Client, alice: Person) -> None:
    key = key_of(alice)

    shown_messages(operator, submit_budget(operator, alice))
    shown_messages(operator, submit_budget(operator, alice, key=str(key), period="month"))
    shown_messages(operator, submit_budget(operator, alice, key=str(key.pk), limit="0"))

    rows = Budget.objects.order_by("id").values_list("key_id", "period", "limit")
    assert list(rows) == [(None, "day", 1_500_000_000), (key.pk, "month", 1_500_000_000), (key.pk, "day", 0)]
    assert logged_messages()[0] == f"A budget of 1.50 USD a day for {format_id(PROJECT, alice.workspace.id)}."
    text = operator.get(list_url("budget")).text
    assert ">1.50<" in text
    assert "alice@example.com&#x27;s workspace" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": ""}, "This field is required."),
        ({"limit": "-0.01"}, "A budget is 0 to 1000000.00 USD."),
        ({"limit": "1e5"}, "no decimal number"),
        ({"limit": "5 EUR"}, "no decimal number"),
        ({"limit": "0.0000000001"}, "at most nine decimals"),
        ({"limit": "1000001"}, "is more than"),
        ({"period": "year"}, "Select a valid choice"),
        ({"workspace": "nobody"}, "There is no workspace 'nobody'"),
        ({"key": "sk-chatapi-none"}, "There is no such key."),
        ({"key": str(uuid4())}, "There is no such key."),
        ({"key": "a\x00"}, "Null characters"),
    ],
)
def test_invalid_budgets_are_refused(
    values: dict[str, str], message: str, operator: Client, alice: Person
) -> None:
    assert message in form_errors(submit_budget(operator, alice, **values))
    assert not Budget.objects.exists()


def test_there_is_one_budget_per_period(operator: Client, alice: Person, budget: Budget) -> None:
    assert "This workspace has a budget a day already" in form_errors(submit_budget(operator, alice))
    assert Budget.objects.count() == 1


def test_a_key_of_another_workspace_is_refused(operator: Client, alice: Person, charlie: Person) -> None:
    answer = submit_budget(operator, alice, key=str(key_of(charlie).pk))
    assert "This key is of another workspace." in form_errors(answer)


def test_a_budget_is_changed_and_removed(operator: Client, budget: Budget) -> None:
    answer = fill_in(operator, action_url("budget", budget.pk, "limit"), limit="2")
    assert "2.00 USD a day, instead of 1.00." in shown_messages(operator, answer)
    assert "A budget is 0 to" in form_errors(
        fill_in(operator, action_url("budget", budget.pk, "limit"), limit="-2")
    )

    answer = fill_in(operator, action_url("budget", budget.pk, "removal"))
    assert "The budget of 2.00 USD a day was removed." in shown_messages(operator, answer)
    assert answer["Location"] == list_url("budget")
    assert not Budget.objects.exists()
    assert len(logged_messages()) == 2


def test_view_only_staff_cannot_set_budgets(alice: Person, budget: Budget) -> None:
    viewer = staff("view_budget")

    assert "1.00" in viewer.get(action_url("budget", budget.pk)).text
    for address in (
        ADD,
        action_url("budget", budget.pk, "limit"),
        action_url("budget", budget.pk, "removal"),
    ):
        assert viewer.get(address).status_code == 403
        assert viewer.post(address, {"limit": "99"}).status_code == 403
    assert Budget.objects.get().limit == NANO_PER_USD
    assert staff("view_wallet", email="rob@example.com").get(list_url("budget")).status_code == 403


# --- alerts ----------------------------------------------------------------------------------------


def settle(client: Client, *rows: Alert) -> None:
    body = {"action": "settle", "_selected_action": [str(row.pk) for row in rows]}
    assert client.post(list_url("alert"), body).status_code in {200, 302}


def test_an_alert_is_settled(operator: Client, alert: Alert) -> None:
    text = operator.get(list_url("alert", state="open")).text
    assert "has 0.00 USD left" in text
    assert "alice@example.com&#x27;s workspace</a>" in text

    settle(operator, alert)
    settle(operator, alert)

    assert Alert.objects.get().settled_at
    assert logged_messages() == ["Marked as settled."]
    assert action_url("alert", alert.pk) not in operator.get(list_url("alert", state="open")).text
    assert action_url("alert", alert.pk) in operator.get(list_url("alert", state="settled")).text


def test_an_alert_whose_cause_persists_is_raised_again(operator: Client, alert: Alert) -> None:
    settle(operator, alert)
    operator_alerts.sync_alerts(Alert.Kind.LOW_BALANCE, {alert.subject: alert.text})
    assert Alert.objects.filter(settled_at=None).count() == 1


def test_view_only_staff_cannot_settle_alerts(alert: Alert) -> None:
    viewer = staff("view_alert")

    assert "Mark as settled" not in viewer.get(list_url("alert")).text
    settle(viewer, alert)

    assert Alert.objects.get().settled_at is None
    settle(staff("change_alert", email="rob@example.com"), alert)
    assert Alert.objects.get().settled_at


# --- statements ------------------------------------------------------------------------------------


def test_a_statement_is_read_in_usd(operator: Client, alice: Person) -> None:
    statement = Statement.objects.create(
        id=new_id(),
        workspace_id=alice.workspace.id,
        month="2026-10-01",
        opening=NANO_PER_USD,
        closing=3 * NANO_PER_USD,
        totals={
            **dict.fromkeys(Transaction.Kind.values, 0),
            "top_up": 5 * NANO_PER_USD,
            "charge": -3 * NANO_PER_USD,
        },
    )

    assert "2026-10" in operator.get(list_url("statement", q="alice@")).text
    text = operator.get(action_url("statement", statement.pk)).text
    assert "Charge: -3.00<br>Top Up: 5.00" in text
    assert action_url("statement", statement.pk, "print") in text
    printed = operator.get(action_url("statement", statement.pk, "print"))
    assert "alice@example.com&#x27;s workspace" in printed.text
    table = operator.get(action_url("statement", statement.pk, "csv"))
    assert table["Content-Type"].startswith("text/csv")
    assert operator.get(action_url("statement", uuid4(), "csv")).status_code == 404
    assert (
        staff("view_alert", email="rob@example.com")
        .get(action_url("statement", statement.pk, "print"))
        .status_code
        == 403
    )
    assert operator.post(action_url("statement", statement.pk), {"closing": "1"}).status_code == 403
    assert staff("view_wallet").get(action_url("statement", statement.pk)).status_code == 403
