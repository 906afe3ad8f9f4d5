"""Operators top up, give, adjust and set terms: each action counts once, has a reason and is logged."""

from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from billing import ledger
from billing.models import Transaction, Wallet
from billing.money import MAX_NANO_PER_WALLET
from billing.terms_and_budgets import open_wallet, set_terms
from core.ids import format_user_id
from core.money import MAX_NANO, NANO_PER_USD
from tests.support.billing_admin import (
    HOME,
    LISTS,
    action_url,
    fill_in,
    form_errors,
    list_url,
    logged_messages,
    shown_messages,
)
from tests.support.media_admin import staff, superuser
from tests.support.people import Person
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of

ACTIONS = ("top-up", "promotion", "adjustment")


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def wallet(alice: Person) -> Wallet:
    return open_wallet(alice.workspace.id)


# --- money in --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "kind", "amount", "nano"),
    [
        ("top-up", "top_up", "25", 25 * NANO_PER_USD),
        ("top-up", "top_up", " 0.000000001 ", 1),
        ("promotion", "promotion", "5.00", 5 * NANO_PER_USD),
        ("adjustment", "adjustment", "-3.5", -35 * NANO_PER_USD // 10),
        ("adjustment", "adjustment", "+1", NANO_PER_USD),
    ],
)
def test_money_is_put_in_and_taken_out(
    action: str, kind: str, amount: str, nano: int, operator: Client, alice: Person, wallet: Wallet
) -> None:
    answer = fill_in(operator, action_url("wallet", wallet.pk, action), amount=amount, reason=" They paid. ")

    assert "USD, by transaction" in shown_messages(operator, answer)
    assert answer["Location"] == action_url("wallet", wallet.pk)
    transaction = Transaction.objects.get()
    root = format_user_id(User.objects.get(email="root@example.com").pk)
    assert (transaction.kind, transaction.reason, transaction.by) == (kind, "They paid.", root)
    assert wallet_of(alice).balance == nano
    [line] = logged_messages()
    assert str(transaction.pk) in line
    assert line.endswith("They paid.")
    assert LogEntry.objects.get().object_id == str(wallet.pk)
    assert_ledger_adds_up()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ("", "This field is required."),
        ("0", "An amount is not zero."),
        ("0.00", "An amount is not zero."),
        ("1e5", "'1e5' is no decimal number of USD."),
        ("5 EUR", "'5 EUR' is no decimal number of USD."),
        ("$5", "'$5' is no decimal number of USD."),
        ("5,00", "'5,00' is no decimal number of USD."),
        ("NaN", "'NaN' is no decimal number of USD."),
        ("٣", "is no decimal number of USD."),
        ("0.0000000001", "USD have at most nine decimals, unlike 0.0000000001."),
        ("1000000.01", "1000000.01 USD is more than 1000000.00 USD."),
        ("1000000000", "1000000000 USD is more than 1000000.00 USD."),
        ("9" * 5000, "is no decimal number of USD."),
        ("5\x00", "Null characters are not allowed."),
    ],
)
def test_invalid_amounts_are_refused_and_no_money_moves(
    action: str, amount: str, reason: str, operator: Client, alice: Person, wallet: Wallet
) -> None:
    answer = fill_in(operator, action_url("wallet", wallet.pk, action), amount=amount, reason="They paid.")

    assert reason in form_errors(answer)
    assert wallet_of(alice).balance == 0
    assert not Transaction.objects.exists()
    assert logged_messages() == []


@pytest.mark.parametrize("action", ["top-up", "promotion"])
def test_only_adjustments_are_negative(action: str, operator: Client, wallet: Wallet) -> None:
    answer = fill_in(operator, action_url("wallet", wallet.pk, action), amount="-5", reason="Back.")
    assert "an adjustment may be negative" in form_errors(answer)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "This field is required."),
        ("  \n ", "This field is required."),
        (None, "This field is required."),
        ("x" * 501, "at most 500 characters"),
        ("a\x00b", "Null characters are not allowed."),
    ],
)
def test_a_reason_is_needed(
    action: str, reason: str | None, message: str, operator: Client, wallet: Wallet
) -> None:
    answer = fill_in(operator, action_url("wallet", wallet.pk, action), amount="5", reason=reason)

    assert message in form_errors(answer)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_form_that_is_sent_twice_counts_once(
    action: str, operator: Client, alice: Person, wallet: Wallet
) -> None:
    """A double click, or a page that is submitted again."""
    address, token = action_url("wallet", wallet.pk, action), str(uuid4())

    answers = [fill_in(operator, address, amount="5", reason="They paid.", token=token) for _ in range(2)]

    assert "This was done before: nothing was added." in shown_messages(operator, answers[1])
    assert wallet_of(alice).balance == 5 * NANO_PER_USD
    assert len(logged_messages()) == 1
    other = fill_in(operator, address, amount="6", reason="They paid.", token=token)
    assert "is that of another payment" in form_errors(other)


def test_a_payment_reference_counts_once(operator: Client, alice: Person, wallet: Wallet) -> None:
    address = action_url("wallet", wallet.pk, "top-up")

    fill_in(operator, address, amount="5", reason="Bank", payment="INV-1")
    again = fill_in(operator, address, amount="5", reason="Bank", payment="INV-1")

    assert "nothing was added" in shown_messages(operator, again)
    assert wallet_of(alice).balance == 5 * NANO_PER_USD
    too_long = fill_in(operator, address, amount="5", reason="Bank", payment="x" * 201)
    assert "at most 200 characters" in form_errors(too_long)


def test_an_action_without_its_form_is_refused(operator: Client, wallet: Wallet) -> None:
    for body in ({}, {"amount": "5", "reason": "Bank"}, {"amount": "5", "reason": "Bank", "token": "x"}):
        assert form_errors(operator.post(action_url("wallet", wallet.pk, "adjustment"), body))
    assert not Transaction.objects.exists()


def test_only_so_much_is_moved_by_hand(operator: Client, alice: Person, wallet: Wallet) -> None:
    million = ledger.Movement(Transaction.Kind.TOP_UP, alice.workspace.id, MAX_NANO)
    with transaction.atomic():
        ledger.post_movements([million] * 999)
    assert (
        fill_in(
            operator, action_url("wallet", wallet.pk, "top-up"), amount="1000000", reason="Rich"
        ).status_code
        == 302
    )

    for action, amount in (("top-up", "0.01"), ("promotion", "1"), ("adjustment", "-0.01")):
        answer = fill_in(operator, action_url("wallet", wallet.pk, action), amount=amount, reason="Richer")
        assert "come to at most 1000000000.00 USD together" in form_errors(answer)
        assert "0.00 USD are left of that." in form_errors(answer)

    assert wallet_of(alice).balance == MAX_NANO_PER_WALLET


# --- terms -----------------------------------------------------------------------------------------


def test_terms_are_written_in_usd_and_leave_the_money_alone(
    operator: Client, alice: Person, wallet: Wallet
) -> None:
    add_credit(alice, 5 * NANO_PER_USD)
    address = action_url("wallet", wallet.pk, "terms")

    answer = fill_in(
        operator, address, credit_limit="12.5", low_balance="0.000001", stripe_customer="cus_Abc123"
    )

    assert (
        "Credit limit: 12.50 USD; low balance: 0.000001 USD; Stripe customer: cus_Abc123."
        in shown_messages(operator, answer)
    )
    known = wallet_of(alice)
    assert (known.credit_limit, known.low_balance, known.stripe_customer) == (
        12_500_000_000,
        1000,
        "cus_Abc123",
    )
    assert (known.balance, known.held) == (5 * NANO_PER_USD, 0)
    shown = operator.get(address).text
    assert 'value="12.50"' in shown
    assert 'value="0.000001"' in shown
    assert len(logged_messages()) == 1


def test_having_no_limit_is_chosen_explicitly(operator: Client, alice: Person, wallet: Wallet) -> None:
    address = action_url("wallet", wallet.pk, "terms")

    assert "Write 0 for a prepaid workspace" in form_errors(fill_in(operator, address, credit_limit=""))
    assert wallet_of(alice).credit_limit == 0

    assert "no limit" in shown_messages(
        operator, fill_in(operator, address, is_unlimited="on", credit_limit="5")
    )
    assert wallet_of(alice).credit_limit is None
    assert "no limit" in operator.get(action_url("wallet", wallet.pk)).text


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"credit_limit": "-1"}, "A credit limit is 0 to"),
        ({"credit_limit": "1e5"}, "no decimal number"),
        ({"credit_limit": "5 EUR"}, "no decimal number"),
        ({"credit_limit": "1000000001"}, "is more than"),
        ({"credit_limit": "0", "low_balance": "-0.01"}, "The balance that an alert is raised for is 0 to"),
        ({"credit_limit": "0", "low_balance": "0.0000000001"}, "at most nine decimals"),
        ({"credit_limit": "0", "stripe_customer": "sk_live_1"}, "is written cus_…"),
        ({"credit_limit": "0", "stripe_customer": "cus_" + "x" * 99}, "is written cus_…"),
        ({"credit_limit": "0", "stripe_customer": "cus_a\x00"}, "Null characters"),
    ],
)
def test_wrong_terms_are_refused(
    terms: dict[str, str], message: str, operator: Client, alice: Person, wallet: Wallet
) -> None:
    answer = fill_in(operator, action_url("wallet", wallet.pk, "terms"), **terms)

    assert message in form_errors(answer)
    assert wallet_of(alice).credit_limit == 0


# --- opening ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "name", "address"])
def test_a_wallet_is_opened_for_a_workspace_that_has_none(
    name: str, operator: Client, alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_CREDIT_LIMIT = 7
    names = {"id": alice.workspace.id, "name": alice.workspace.name, "address": "Alice@Example.com"}

    answer = fill_in(operator, HOME + "wallet/add/", workspace=names[name])

    assert "was opened" in shown_messages(operator, answer)
    assert wallet_of(alice).credit_limit == 7
    again = fill_in(operator, HOME + "wallet/add/", workspace=names[name])
    assert "is open already" in shown_messages(operator, again)
    assert len(logged_messages()) == 1


@pytest.mark.parametrize("workspace", ["", "nobody", "  ", str(UUID(int=7)), "x" * 5000, "a\x00b"])
def test_no_wallet_is_opened_for_an_unknown_workspace(
    workspace: str, operator: Client, alice: Person
) -> None:
    assert form_errors(fill_in(operator, HOME + "wallet/add/", workspace=workspace))
    assert not Wallet.objects.exists()


def test_a_name_shared_by_several_workspaces_is_not_enough(
    operator: Client, alice: Person, charlie: Person
) -> None:
    charlie.workspace.name = alice.workspace.name
    charlie.workspace.save()

    answer = fill_in(operator, HOME + "wallet/add/", workspace=alice.workspace.name)

    assert "write the id of one" in form_errors(answer)


# --- viewing ---------------------------------------------------------------------------------------


def test_the_list_shows_whose_money_it_is(operator: Client, alice: Person, charlie: Person) -> None:
    add_credit(alice, 5 * NANO_PER_USD)
    set_terms(alice.workspace.id, credit_limit=NANO_PER_USD, low_balance=9 * NANO_PER_USD)
    open_wallet(charlie.workspace.id)
    gone = uuid4()
    open_wallet(gone)

    text = operator.get(list_url("wallet")).text
    assert "alice@example.com&#x27;s workspace" in text
    assert str(gone) in text
    assert ">6.00<" in text

    for query, shown in (
        ({"q": "alice@"}, {alice.workspace.id}),
        ({"q": str(gone)}, {gone}),
        ({"left": "low"}, {alice.workspace.id}),
        ({"left": "nothing"}, {charlie.workspace.id, gone}),
        ({"left": "no limit"}, set()),
        ({"left": "nonsense"}, {alice.workspace.id, charlie.workspace.id, gone}),
        ({"q": "nobody"}, set()),
    ):
        text = operator.get(list_url("wallet", **query)).text
        assert {
            id for id in (alice.workspace.id, charlie.workspace.id, gone) if f"{id}/change" in text
        } == shown


@pytest.mark.parametrize("model", LISTS)
def test_a_long_list_takes_no_more_queries_than_a_short_one(
    model: str, operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        ledger.top_up(uuid4(), 1, reason="Bank", by="treasurer@example.com")

    with django_assert_max_num_queries(10):
        assert operator.get(list_url(model)).status_code == 200


@pytest.mark.parametrize("model", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        {"q": "a\x00b"},
        {"q": "'; --"},
        {"q": "9" * 999},
        {"p": "-1"},
        {"p": "9" * 99},
        {"o": "99.-99"},
        {"id__exact": "x"},
        {"created_at__gte": "yesterday"},
        {"kind__exact": "\x00"},
        {"workspace": "\x00"},
        {"created_at__gte": "0001-01-01T00:00:00+23:59"},
        {"created_at__year": "0"},
        {"created_at__year": "99999"},
    ],
)
def test_no_query_breaks_a_list(model: str, query: dict[str, str], operator: Client) -> None:
    assert operator.get(list_url(model, **query)).status_code in {200, 302}


def test_an_action_on_invalid_rows_breaks_no_list(operator: Client) -> None:
    body = {"action": "settle", "_selected_action": "x"}
    assert operator.post(list_url("alert"), body).status_code in {200, 302}


# --- permissions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [*ACTIONS, "terms"])
def test_view_only_staff_cannot_act(action: str, alice: Person, wallet: Wallet) -> None:
    viewer = staff("view_wallet")

    shown = viewer.get(action_url("wallet", wallet.pk))
    assert shown.status_code == 200
    assert f"/{action}/" not in shown.text
    assert "Add wallet" not in viewer.get(list_url("wallet")).text
    address = action_url("wallet", wallet.pk, action)
    assert viewer.get(address).status_code == 403
    body = {"amount": "5", "reason": "Mine", "token": str(uuid4()), "credit_limit": "99"}
    assert viewer.post(address, body).status_code == 403
    assert viewer.post(HOME + "wallet/add/", {"workspace": alice.workspace.name}).status_code == 403
    assert not Transaction.objects.exists()
    assert wallet_of(alice).credit_limit == 0


@pytest.mark.parametrize("action", [*ACTIONS, "terms"])
def test_staff_without_permission_and_users_see_nothing(action: str, alice: Person, wallet: Wallet) -> None:
    other = staff("view_price", "change_price")
    user = Client()
    user.force_login(alice.user)

    for address in (
        list_url("wallet"),
        action_url("wallet", wallet.pk),
        action_url("wallet", wallet.pk, action),
    ):
        assert other.get(address).status_code == 403
        assert user.get(address).status_code == 302  # to sign in
        assert Client().get(address).status_code == 302


def test_staff_who_may_change_wallets_act_under_their_own_id(alice: Person, wallet: Wallet) -> None:
    treasurer = staff("change_wallet", email="treasurer@example.com")

    shown_messages(
        treasurer, fill_in(treasurer, action_url("wallet", wallet.pk, "top-up"), amount="5", reason="Bank")
    )

    user = User.objects.get(email="treasurer@example.com")
    assert Transaction.objects.get().by == format_user_id(user.pk)


@pytest.mark.parametrize("action", [*ACTIONS, "terms", "change"])
def test_a_wallet_that_does_not_exist(action: str, operator: Client) -> None:
    assert operator.get(action_url("wallet", uuid4(), action)).status_code in {302, 404}
    assert operator.post(action_url("wallet", uuid4(), action), {"amount": "5"}).status_code in {
        302,
        403,
        404,
    }
    assert operator.get(action_url("wallet", "x", action)).status_code in {302, 404}
    assert not Wallet.objects.exists()


def test_rows_are_never_edited_or_deleted(operator: Client, alice: Person, wallet: Wallet) -> None:
    body = {"balance": "99", "credit_limit": "99", "_save": "Save", "post": "yes"}

    assert operator.post(action_url("wallet", wallet.pk), body).status_code == 403
    assert operator.post(action_url("wallet", wallet.pk, "delete"), body).status_code == 403
    assert operator.post(
        list_url("wallet"), {"action": "delete_selected", "_selected_action": [str(wallet.pk)]}
    ).status_code in {200, 302, 403}
    assert wallet_of(alice).balance == 0
