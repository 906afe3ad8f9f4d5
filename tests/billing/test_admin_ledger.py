"""The ledger in the admin: viewing it, reversing what is wrong in it, and seeing how a charge came about."""

from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import EndUserToken, User
from billing import ledger
from billing.models import Charge, Transaction
from billing.prices import add_price
from core.ids import format_user_id
from core.money import NANO_PER_USD
from tests.support.billing_admin import (
    action_url,
    charge_call,
    fill_in,
    form_errors,
    list_url,
    logged_messages,
    shown_messages,
)
from tests.support.media_admin import staff, superuser
from tests.support.people import Person, token_for
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of

MODEL = "gpt-4o"


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def charge(alice: Person) -> Charge:
    """A call of 1,000 prompt tokens and 10 completion tokens that cost 0.0011 USD."""
    add_credit(alice, NANO_PER_USD)
    add_price(MODEL, {0: {"prompt": 1_000_000, "completion": 10_000_000}})
    return Charge.objects.get(pk=charge_call(alice, MODEL, prompt=1000, completion=10))


def transaction_of(charge: Charge) -> Transaction:
    return Transaction.objects.get(charge_id=charge.pk, kind="charge")


# --- viewing ---------------------------------------------------------------------------------------


def test_a_transaction_shows_both_sides(operator: Client, alice: Person, charge: Charge) -> None:
    text = operator.get(action_url("transaction", transaction_of(charge).pk)).text

    assert "-0.0011 USD: wallet of alice@example.com&#x27;s workspace" in text
    assert "0.0011 USD: revenue" in text
    assert action_url("charge", charge.pk) in text


def test_a_charge_shows_what_was_used_and_what_it_cost(operator: Client, charge: Charge) -> None:
    text = operator.get(action_url("charge", charge.pk)).text

    assert "1000 prompt tokens<br>10 completion tokens" in text
    assert ">0.0011<" in text
    assert action_url("price", charge.price_id) in text
    assert action_url("transaction", transaction_of(charge).pk) in text
    assert f"chatcmpl-{charge.pk.hex} (deleted)" in text


@pytest.mark.parametrize("words", ["charge", "public id", "workspace", "project", "workspace's name"])
@pytest.mark.parametrize("model", ["transaction", "charge"])
def test_rows_are_found_by_what_they_are_for_and_by_owner(
    model: str, words: str, operator: Client, alice: Person, charlie: Person, charge: Charge
) -> None:
    add_credit(charlie, NANO_PER_USD)
    other = charge_call(charlie, MODEL, prompt=1)
    query = {
        "charge": str(charge.pk),
        "public id": f"chatcmpl-{charge.pk.hex}",
        "workspace": str(alice.workspace.id),
        "project": f"proj_{alice.workspace.id.hex}",
        "workspace's name": "alice@",
    }[words]

    text = operator.get(list_url(model, q=query)).text

    def row(charge_id: UUID) -> str:
        id = charge_id if model == "charge" else Transaction.objects.get(charge_id=charge_id).pk
        return action_url(model, id)

    assert row(charge.pk) in text
    assert row(other) not in text


def test_charges_are_found_by_the_end_user_token_that_they_came_with(
    operator: Client, alice: Person, charge: Charge
) -> None:
    token_for(alice, "eve")
    token = EndUserToken.objects.get().id
    of_eve = charge_call(alice, MODEL, token_id=token, prompt=1)
    for words in (str(token), f"eut_{token.hex}"):
        found = operator.get(list_url("charge", q=words)).text
        assert action_url("charge", of_eve) in found
        assert action_url("charge", charge.pk) not in found
    assert str(token) in operator.get(action_url("charge", of_eve)).text


def test_transactions_are_filtered_by_kind_and_date(operator: Client, alice: Person, charge: Charge) -> None:
    payment = Transaction.objects.get(kind="top_up")

    text = operator.get(
        list_url("transaction", kind__exact="top_up", created_at__gte="2020-01-01 00:00Z")
    ).text

    assert action_url("transaction", payment.pk) in text
    assert action_url("transaction", transaction_of(charge).pk) not in text


def test_a_deleted_workspace_is_shown_by_its_id(operator: Client) -> None:
    gone = uuid4()
    payment = ledger.top_up(gone, 1, reason="Bank", by="treasurer@example.com")

    assert str(gone) in operator.get(list_url("transaction")).text
    assert f"wallet of {gone}" in operator.get(action_url("transaction", payment.pk)).text


@pytest.mark.parametrize("model", ["transaction", "charge"])
def test_a_long_list_takes_no_more_queries_than_a_short_one(
    model: str,
    operator: Client,
    alice: Person,
    charlie: Person,
    charge: Charge,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    add_credit(charlie, NANO_PER_USD)
    for number in range(20):
        charge_call(charlie if number % 2 else alice, MODEL, prompt=1)

    with django_assert_max_num_queries(10):
        text = operator.get(list_url(model)).text

    assert text.count("field-workspace") >= 20


# --- reversing -------------------------------------------------------------------------------------


def test_a_charge_is_refunded(operator: Client, alice: Person, charge: Charge) -> None:
    wrong = transaction_of(charge)
    assert (
        action_url("transaction", wrong.pk, "reversal")
        in operator.get(action_url("transaction", wrong.pk)).text
    )

    answer = fill_in(
        operator, action_url("transaction", wrong.pk, "reversal"), reason="The answer was nonsense."
    )

    reversal = Transaction.objects.get(kind="reversal")
    assert f"Reversed by transaction {reversal.pk}." in shown_messages(operator, answer)
    root = format_user_id(User.objects.get(email="root@example.com").pk)
    assert (reversal.by, reversal.reason) == (root, "The answer was nonsense.")
    assert f">{root}</a>" in operator.get(action_url("transaction", reversal.pk)).text
    assert wallet_of(alice).balance == NANO_PER_USD
    [line] = logged_messages()
    assert str(reversal.pk) in line
    assert LogEntry.objects.get().object_id == str(wrong.pk)
    assert_ledger_adds_up()

    shown = operator.get(action_url("transaction", wrong.pk)).text
    assert action_url("transaction", reversal.pk) in shown
    assert action_url("transaction", wrong.pk, "reversal") not in shown
    assert action_url("transaction", wrong.pk) in operator.get(action_url("transaction", reversal.pk)).text


def test_nothing_is_reversed_twice(operator: Client, alice: Person, charge: Charge) -> None:
    address = action_url("transaction", transaction_of(charge).pk, "reversal")
    fill_in(operator, address, reason="Wrong.")
    reversal = Transaction.objects.get(kind="reversal")

    assert "has been reversed already" in form_errors(fill_in(operator, address, reason="Wrong."))
    undone = fill_in(operator, action_url("transaction", reversal.pk, "reversal"), reason="Right.")
    assert "A reversal is not reversed" in form_errors(undone)
    assert wallet_of(alice).balance == NANO_PER_USD
    assert len(logged_messages()) == 1


@pytest.mark.parametrize("reason", ["", " ", None, "x" * 501, "a\x00"])
def test_a_reversal_needs_a_reason(reason: str | None, operator: Client, charge: Charge) -> None:
    answer = fill_in(
        operator, action_url("transaction", transaction_of(charge).pk, "reversal"), reason=reason
    )

    assert form_errors(answer)
    assert not Transaction.objects.filter(kind="reversal").exists()


# --- permissions -----------------------------------------------------------------------------------


def test_view_only_staff_cannot_reverse(charge: Charge) -> None:
    viewer = staff("view_transaction", "view_charge")
    wrong = transaction_of(charge)

    assert viewer.get(list_url("charge")).status_code == 200
    shown = viewer.get(action_url("transaction", wrong.pk))
    assert "USD: revenue" in shown.text
    assert "reversal/" not in shown.text
    assert viewer.get(action_url("transaction", wrong.pk, "reversal")).status_code == 403
    assert viewer.post(action_url("transaction", wrong.pk, "reversal"), {"reason": "Mine"}).status_code == 403
    assert not Transaction.objects.filter(kind="reversal").exists()


@pytest.mark.parametrize("model", ["transaction", "charge"])
def test_staff_without_permission_see_nothing(model: str, charge: Charge) -> None:
    other = staff("view_wallet", "change_wallet")
    id = charge.pk if model == "charge" else transaction_of(charge).pk

    for address in (list_url(model), action_url(model, id), action_url(model, id, "history")):
        assert other.get(address).status_code == 403


@pytest.mark.parametrize("model", ["transaction", "charge"])
def test_nothing_is_added_edited_or_deleted(model: str, operator: Client, charge: Charge) -> None:
    id = charge.pk if model == "charge" else transaction_of(charge).pk

    shown = operator.get(list_url(model)).text + operator.get(action_url(model, id)).text
    assert "/add/" not in shown.split('id="content-main"')[1].split("</form>")[0]
    assert 'name="_save"' not in shown
    assert "deletelink" not in shown
    assert operator.get(f"/admin/billing/{model}/add/").status_code == 403
    for action in ("change", "delete"):
        assert operator.post(action_url(model, id, action), {"post": "yes"}).status_code == 403


def test_roll_ups_and_accounts_have_no_lists(operator: Client, charge: Charge) -> None:
    for model in ("account", "entry", "rate", "spend"):
        assert operator.get(list_url(model)).status_code == 404
    assert operator.get("/admin/billing/").status_code == 200
