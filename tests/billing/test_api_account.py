"""`/v1/billing/…`: what a workspace may know about its money, in the shapes of the API document."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.roles import Role
from billing import ledger
from billing.models import Budget, Transaction, Wallet
from core.ids import COMPLETION, KEY, PROJECT, TRANSACTION, format_id
from tests.support.billed_months import (
    SHORT_COST,
    USD,
    create_wallet,
    day,
    frozen_clock,
    key_of,
    post,
    post_call,
    settle_call,
)
from tests.support.people import Person, set_role

BALANCE, TRANSACTIONS = "/v1/billing/balance", "/v1/billing/transactions"


def get(client: Client, who: Person, address: str, **query: object) -> dict[str, Any]:
    answer = client.get(address, query, headers=who.headers)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def pay(who: Person, number: int, amount: int = USD) -> Transaction:
    with frozen_clock(day(number)):
        return ledger.top_up(
            who.workspace.id,
            amount,
            reason=f"Invoice {number}",
            by="treasurer@example.com",
            reference=f"{who.user.email} {number}",
        )


# --- balance --------------------------------------------------------------------------------------


def test_a_balance(alice: Person, client: Client) -> None:
    create_wallet(alice, credit=2 * USD)
    pay(alice, 2, 5 * USD)
    settle_call(alice, day(3))

    assert get(client, alice, BALANCE) == {
        "object": "billing.balance",
        "project_id": format_id(PROJECT, alice.workspace.id),
        "currency": "USD",
        "balance": "5.00",
        "held": "0.000023",
        "credit_limit": "2.00",
        "available": "6.999977",
        "budgets": [],
    }

    post(day(4))
    after = get(client, alice, BALANCE)
    assert (after["balance"], after["held"], after["available"]) == ("4.999977", "0.00", "6.999977")


def test_a_workspace_without_a_limit(alice: Person, client: Client) -> None:
    create_wallet(alice, credit=None)

    shown = get(client, alice, BALANCE)

    assert (shown["credit_limit"], shown["available"]) == (None, None)


def test_a_workspace_without_a_wallet_yet(alice: Person, client: Client, settings: Any) -> None:
    settings.CHATAPI_CREDIT_LIMIT = 3 * USD

    shown = get(client, alice, BALANCE)

    assert (shown["balance"], shown["held"], shown["available"]) == ("0.00", "0.00", "3.00")
    assert not Wallet.objects.exists()


def test_amounts_are_exact_however_large(alice: Person, client: Client) -> None:
    create_wallet(alice)
    Wallet.objects.update(balance=9_007_199_254_740_993, held=1)

    shown = get(client, alice, BALANCE)

    assert (shown["balance"], shown["held"]) == ("9007199.254740993", "0.000000001")


def test_budgets_and_how_much_of_them_is_used(alice: Person, client: Client) -> None:
    create_wallet(alice)
    settle_call(alice, day(3))
    settle_call(alice, day(4))
    settle_call(alice, day(4), by_key=False)
    id = alice.workspace.id
    Budget.objects.create(workspace_id=id, key_id=key_of(alice), period="day", limit=SHORT_COST)
    Budget.objects.create(workspace_id=id, period="month", limit=USD)

    with frozen_clock(day(4)):
        monthly, daily = get(client, alice, BALANCE)["budgets"]

    assert (monthly["used"], monthly["limit"], monthly["remaining"]) == ("0.000069", "1.00", "0.999931")
    assert (monthly["api_key_id"], monthly["period"]) == (None, "month")
    assert monthly["starts_at"] == int(day(1, hour=0).timestamp())
    assert monthly["ends_at"] == int(day(1, month=2, hour=0).timestamp())
    assert (daily["used"], daily["remaining"]) == ("0.000023", "0.00")
    assert daily["api_key_id"] == format_id(KEY, key_of(alice))
    assert daily["ends_at"] - daily["starts_at"] == 86_400


# --- transactions ---------------------------------------------------------------------------------


def test_transactions_newest_first(alice: Person, client: Client) -> None:
    create_wallet(alice)
    payment = pay(alice, 2, 5 * USD)
    charge = post_call(alice, day(3))
    charged = Transaction.objects.get(charge_id=charge.id)
    with frozen_clock(day(4)):
        reversal = ledger.reverse(charged.id, reason="It was cut off", by="treasurer@example.com")

    newest, second, oldest = get(client, alice, TRANSACTIONS)["data"]

    completion = {"completion_id": format_id(COMPLETION, charge.id), "model": "gpt"}
    assert oldest == {
        "id": format_id(TRANSACTION, payment.id),
        "object": "billing.transaction",
        "created_at": int(day(2).timestamp()),
        "kind": "top_up",
        "amount": "5.00",
        "currency": "USD",
        "reason": "Invoice 2",
        "reference": "alice@example.com 2",
        "completion_id": None,
        "model": None,
        "reverses": None,
        "reversed_by": None,
    }
    assert (second["kind"], second["amount"], second["reason"]) == ("charge", "-0.000023", None)
    assert second["reversed_by"] == newest["id"] == format_id(TRANSACTION, reversal.id)
    assert newest["reverses"] == second["id"]
    assert (newest["kind"], newest["amount"]) == ("reversal", "0.000023")
    assert second | completion == second
    assert newest | completion == newest


def test_who_made_a_transaction_is_not_shown(alice: Person, client: Client) -> None:
    pay(alice, 2)

    assert "treasurer@example.com" not in client.get(TRANSACTIONS, headers=alice.headers).text


def test_speech_has_no_completion(alice: Person, client: Client) -> None:
    create_wallet(alice)
    settle_call(alice, day(3), model="tts", kind="speech")
    post(day(3))

    [row] = get(client, alice, TRANSACTIONS)["data"]

    assert (row["completion_id"], row["model"]) == (None, "tts")


def test_pages_follow_each_other_to_the_end(alice: Person, client: Client) -> None:
    create_wallet(alice)
    for _ in range(3):
        settle_call(alice, day(3))
    post(day(3))  # all at the same moment
    payment_ids = [format_id(TRANSACTION, pay(alice, number).id) for number in (4, 5)]

    seen: list[str] = []
    page = get(client, alice, TRANSACTIONS, limit=2)
    while page["has_more"]:
        seen += [row["id"] for row in page["data"]]
        assert page["first_id"] == page["data"][0]["id"]
        page = get(client, alice, TRANSACTIONS, limit=2, after=page["last_id"])
    seen += [row["id"] for row in page["data"]]

    assert len(seen) == len(set(seen)) == 5
    assert seen[:2] == payment_ids[::-1]


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [
        ("charge", ["charge"]),
        ("top_up", ["top_up"]),
        ("charge,top_up", ["top_up", "charge"]),
        ("promotion", []),
    ],
)
def test_kinds(kind: str, kinds: list[str], alice: Person, client: Client) -> None:
    create_wallet(alice)
    post_call(alice, day(3))
    pay(alice, 4)

    found = get(client, alice, TRANSACTIONS, kind=kind)["data"]

    assert [row["kind"] for row in found] == kinds


def test_an_empty_list(alice: Person, client: Client) -> None:
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }

    assert get(client, alice, TRANSACTIONS) == empty


def test_a_page_costs_two_queries(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    create_wallet(alice)
    for _ in range(5):
        settle_call(alice, day(3))
    post(day(3))
    authentication = 1

    with django_assert_num_queries(authentication + 2):
        get(client, alice, TRANSACTIONS, limit=5)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=NaN", "limit", "invalid_type"),
        ("kind=refund", "kind", "invalid_value"),
        ("kind[]=charge&kind[]=%00", "kind", "invalid_value"),
        ("after=", "after", "invalid_value"),
        ("after=txn_%00", "after", "invalid_value"),
        ("after=txn_" + "0" * 32, "after", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    answer = client.get(f"{TRANSACTIONS}?{query}", headers=alice.headers)

    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


# --- who may see it -------------------------------------------------------------------------------


def test_owner_and_teammate_see_it_and_a_stranger_does_not(
    alice: Person, bob: Person, charlie: Person, client: Client
) -> None:
    id = format_id(TRANSACTION, pay(alice, 2, 5 * USD).id)

    set_role(bob, Role.ADMIN)
    for who in (alice, bob):
        assert get(client, who, BALANCE)["balance"] == "5.00"
        assert [row["id"] for row in get(client, who, TRANSACTIONS)["data"]] == [id]
        assert get(client, who, f"{TRANSACTIONS}/{id}")["amount"] == "5.00"
    assert get(client, charlie, BALANCE)["balance"] == "0.00"
    assert get(client, charlie, TRANSACTIONS)["data"] == []
    assert client.get(f"{TRANSACTIONS}/{id}", headers=charlie.headers).status_code == 404
    assert client.get(TRANSACTIONS, {"after": id}, headers=charlie.headers).status_code == 400


@pytest.mark.parametrize("address", [BALANCE, TRANSACTIONS, f"{TRANSACTIONS}/txn_{'0' * 32}"])
def test_somebody_unknown_is_asked_for_a_key(address: str, client: Client, db: None) -> None:
    answer = client.get(address)

    assert answer.status_code == 401
    assert answer["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("address", [BALANCE, TRANSACTIONS])
def test_nothing_can_be_written(address: str, alice: Person, client: Client) -> None:
    for method in (client.post, client.put, client.patch, client.delete):
        assert method(address, headers=alice.headers).status_code == 405


@pytest.mark.parametrize("id", ["x", "txn_", "txn_" + "z" * 32, "%00", "é", "a" * 3000, "0" * 32])
def test_an_impossible_id_is_not_found(id: str, alice: Person, client: Client) -> None:
    answer = client.get(f"{TRANSACTIONS}/{id}", headers=alice.headers)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_session_sees_the_personal_workspace(alice: Person, client: Client) -> None:
    pay(alice, 2)
    client.force_login(alice.user)

    assert client.get(BALANCE).json()["balance"] == "1.00"
