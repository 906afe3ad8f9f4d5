"""Whatever somebody does to the ledger, `verify_ledger` reports it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F

from billing import ledger, reconciliation, verification
from billing.charge_posting import post_settled
from billing.database_snapshot import snapshot
from billing.models import (
    NO_WORKSPACE,
    Account,
    Alert,
    Charge,
    Entry,
    MeterEvent,
    Price,
    Spend,
    Transaction,
    UsageRollup,
    Wallet,
    account_id,
)
from billing.prices import add_price
from billing.triggers import TRIGGERS, install, remove
from billing.units import Units
from chatapi.completions import billing_audit
from conversations.models import Completion
from core.ids import new_id
from engines.events import Usage
from tests.support.billed_months import (
    SHORT_COST,
    USD,
    add_prices,
    create_wallet,
    day,
    frozen_clock,
    hold_call,
    key_of,
    settle_call,
)
from tests.support.people import Person
from tests.support.running_server import Server, chat_body
from tests.support.tampering import tampering

SECOND = Units(prompt=100, completion=7)


class AliceLedger:
    """Alice's ledger: 5 USD paid in, two posted calls (one refunded), one that has ended and one running."""

    def __init__(self, alice: Person) -> None:
        self.alice = alice
        self.workspace = alice.workspace.id
        ledger.top_up(self.workspace, 5 * USD, reason="paid", by="treasurer")
        self.first = settle_call(alice, day(3))
        self.second = settle_call(alice, day(4), SECOND)
        post_settled()
        refunded = Transaction.objects.get(charge_id=self.first.id)
        self.reversal = ledger.reverse(refunded.id, reason="it was nonsense", by="treasurer")
        self.ended = settle_call(alice, day(4, hour=13))
        self.running = hold_call(alice, day(5))


@pytest.fixture
def alice_ledger(alice: Person) -> AliceLedger:
    return AliceLedger(alice)


def found_discrepancies() -> list[str]:
    with snapshot():
        return [str(one) for one in verification.discrepancies()]


def test_a_clean_ledger_has_no_discrepancies(alice_ledger: AliceLedger) -> None:
    assert found_discrepancies() == []
    post_settled()
    assert found_discrepancies() == []


def test_an_empty_ledger_adds_up(db: None) -> None:
    assert found_discrepancies() == []


def test_verifying_keeps_nobody_from_writing(transactional_db: None, alice: Person) -> None:
    """Verification sees the state at its start."""
    create_wallet(alice)

    def write() -> None:
        ledger.top_up(alice.workspace.id, USD, reason="paid", by="treasurer")
        connection.close()

    with snapshot():
        assert list(verification.discrepancies()) == []
        with ThreadPoolExecutor(1) as other:
            other.submit(write).result(timeout=10)
        assert Wallet.objects.get().balance == 0
        assert list(verification.discrepancies()) == []
    assert Wallet.objects.get().balance == USD
    assert found_discrepancies() == []


# --- what somebody could do -----------------------------------------------------------------------


def change_an_entry(alice_ledger: AliceLedger) -> None:
    Entry.objects.filter(transaction__charge_id=alice_ledger.second.id, amount__lt=0).update(
        amount=F("amount") - 1
    )


def take_an_entry(alice_ledger: AliceLedger) -> None:
    Entry.objects.filter(transaction__charge_id=alice_ledger.second.id, amount__gt=0).delete()


def write_a_transaction_without_entries(alice_ledger: AliceLedger) -> None:
    Transaction.objects.create(kind="top_up", workspace_id=alice_ledger.workspace, reason="none")


def charge_for_nothing(alice_ledger: AliceLedger) -> None:
    stray = Transaction(kind="charge", workspace_id=alice_ledger.workspace, charge_id=new_id())
    for account, amount in (("revenue", 5), ("promotion", -5)):
        id = account_id(account)
        Account.objects.get_or_create(id=id, defaults={"kind": account})
        Entry.objects.create(transaction_id=stray.id, account_id=id, amount=amount)
    stray.save(force_insert=True)


def refund_twice_as_much(alice_ledger: AliceLedger) -> None:
    Entry.objects.filter(transaction=alice_ledger.reversal).update(amount=F("amount") * 2)
    Wallet.objects.filter(pk=alice_ledger.workspace).update(balance=F("balance") + alice_ledger.first.cost)


def reverse_nothing(alice_ledger: AliceLedger) -> None:
    other = ledger.top_up(alice_ledger.workspace, 7, reason="paid", by="treasurer")
    Transaction.objects.filter(pk=alice_ledger.reversal.pk).update(reverses=other)


def charge_by_another_models_price(alice_ledger: AliceLedger) -> None:
    add_prices("other")
    Charge.objects.filter(pk=alice_ledger.second.id).update(price_id=Price.objects.get(model="other").id)


def charge_by_no_price(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.second.id).update(price_id=new_id())


def charge_by_a_later_price(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.second.id).update(
        admitted_at=day(1, month=1, hour=0) - timedelta(days=1)
    )


def forget_the_price(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.ended.id).update(price_id=None, cost=None)


def change_what_was_used(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.ended.id).update(completion=3)


def change_the_cost(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.ended.id).update(cost=F("cost") + 1)


def post_without_a_transaction(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.ended.id).update(state="posted")


def settle_what_is_posted(alice_ledger: AliceLedger) -> None:
    Charge.objects.filter(pk=alice_ledger.second.id).update(state="settled")


def take_it_from_a_stranger(alice_ledger: AliceLedger) -> None:
    stranger = new_id()
    wallet = Account.objects.create(id=account_id("wallet", stranger), kind="wallet", workspace_id=stranger)
    Entry.objects.filter(transaction__charge_id=alice_ledger.second.id, amount__lt=0).update(account=wallet)


def give_it_to_another_account(alice_ledger: AliceLedger) -> None:
    gifts = Account.objects.create(id=account_id("promotion"), kind="promotion")
    Entry.objects.filter(transaction__charge_id=alice_ledger.second.id, amount__gt=0).update(account=gifts)


def fill_the_wallet(alice_ledger: AliceLedger) -> None:
    Wallet.objects.filter(pk=alice_ledger.workspace).update(balance=F("balance") + 1)


def release_a_hold(alice_ledger: AliceLedger) -> None:
    Wallet.objects.filter(pk=alice_ledger.workspace).update(held=0)


def take_the_wallet(alice_ledger: AliceLedger) -> None:
    Wallet.objects.filter(pk=alice_ledger.workspace).delete()


def forget_a_spend(alice_ledger: AliceLedger) -> None:
    Spend.objects.filter(scope_id=key_of(alice_ledger.alice), day=day(4).date()).delete()


def count_a_spend_twice(alice_ledger: AliceLedger) -> None:
    Spend.objects.filter(scope_id=alice_ledger.workspace, day=day(3).date()).update(amount=F("amount") * 2)


def invent_a_spend(alice_ledger: AliceLedger) -> None:
    Spend.objects.create(id=new_id(), scope_id=new_id(), day=day(4).date(), amount=1)


def change_a_roll_up(alice_ledger: AliceLedger) -> None:
    UsageRollup.objects.filter(width="hour", starts_at=day(4)).update(requests=2, cost=0)


def take_a_roll_up(alice_ledger: AliceLedger) -> None:
    UsageRollup.objects.filter(width="day", starts_at=day(3, hour=0)).delete()


def invent_a_roll_up(alice_ledger: AliceLedger) -> None:
    UsageRollup.objects.create(
        id=new_id(),
        width="hour",
        starts_at=day(9),
        workspace_id=NO_WORKSPACE,
        model="gpt",
        kind="completion",
        cost=1,
    )


def give_a_roll_up_to_another_model(alice_ledger: AliceLedger) -> None:
    UsageRollup.objects.filter(width="day", starts_at=day(3, hour=0)).update(model="cheaper")


def tell_stripe_too_much(alice_ledger: AliceLedger) -> None:
    MeterEvent.objects.create(
        id=new_id(),
        workspace_id=alice_ledger.workspace,
        hour=day(3),
        part=0,
        amount=SHORT_COST + 1,
        customer="cus_1",
    )


TAMPERINGS = [
    (change_an_entry, "it has 2 entries, and they sum to -1 nano-USD"),
    (take_an_entry, "it has 1 entries"),
    (write_a_transaction_without_entries, "it has no entries"),
    (charge_for_nothing, "it charges for something that was never admitted"),
    (refund_twice_as_much, "it is not the opposite of what it reverses"),
    (reverse_nothing, "it is not the opposite of what it reverses"),
    (charge_by_another_models_price, "is no price of 'gpt'"),
    (charge_by_no_price, "is no price of 'gpt'"),
    (charge_by_a_later_price, "was not in force when it was admitted"),
    (forget_the_price, "'gpt' had a price, and it has none"),
    (change_what_was_used, "what was used costs 33000 nano-USD, but 23000 nano-USD were billed"),
    (change_the_cost, "what was used costs 23000 nano-USD, but 23001 nano-USD were billed"),
    (post_without_a_transaction, "23000 nano-USD should have been taken from its wallet, and 0 were"),
    (settle_what_is_posted, "0 nano-USD should have been taken from its wallet, and 170000 were"),
    (take_it_from_a_stranger, "170000 nano-USD should have been taken from its wallet, and 0 were"),
    (give_it_to_another_account, "it was posted to accounts that it has nothing to do with"),
    (fill_the_wallet, "its balance is 4999830001, the ledger's 4999830000 nano-USD"),
    (release_a_hold, "it holds 0, its charges"),
    (take_the_wallet, "its account has entries, but it has no wallet"),
    (take_the_wallet, "nano-USD are held, but it has no wallet"),
    (forget_a_spend, "0 nano-USD are counted for its budgets and limits, 193000 were spent"),
    (count_a_spend_twice, "46000 nano-USD are counted for its budgets and limits, 23000 were spent"),
    (invent_a_spend, "1 nano-USD are counted for its budgets and limits, 0 were spent"),
    (change_a_roll_up, "wrong: requests, cost"),
    (take_a_roll_up, "(the day of 2026-01-03 00:00): it is missing"),
    (invent_a_roll_up, "wrong: cost"),
    (give_a_roll_up_to_another_model, "its id is that of another group"),
    (tell_stripe_too_much, "23001 nano-USD are told to Stripe, 23000 were spent"),
]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    TAMPERINGS,
    ids=[f"{tamper.__name__}-{count}" for count, (tamper, _) in enumerate(TAMPERINGS)],
)
def test_each_tampering_is_reported(
    alice_ledger: AliceLedger, tamper: Callable[[AliceLedger], None], expected: str
) -> None:
    with tampering():
        tamper(alice_ledger)
    assert [line for line in found_discrepancies() if expected in line], found_discrepancies()


def test_charging_a_long_superseded_price_is_reported(alice_ledger: AliceLedger) -> None:
    with frozen_clock(day(10)):
        add_price("gpt", {0: {"prompt": 1}})
    with tampering():
        Charge.objects.filter(pk=alice_ledger.ended.id).update(admitted_at=day(11), ended_at=day(11))
    assert any("was not in force when it was admitted" in line for line in found_discrepancies())


@pytest.mark.parametrize("guard", [guard.name for guard in TRIGGERS])
def test_a_missing_guard_is_reported(db: None, guard: str) -> None:
    table = next(found.table for found in TRIGGERS if found.name == guard)
    on = f" ON {table}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {guard}{on}")
    assert found_discrepancies() == [
        f"database: the trigger {guard} is missing, which keeps the books from change"
    ]
    remove(connection)
    install(connection)
    assert found_discrepancies() == []


# --- the history ----------------------------------------------------------------------------------


@pytest.fixture
def billed(server: Server, alice: Person) -> Completion:
    """A completion that was billed."""
    ledger.top_up(alice.workspace.id, 5 * USD, reason="paid", by="treasurer")
    with server.client(alice) as client:
        client.post("/v1/chat/completions", json=chat_body("hello", model="priced")).raise_for_status()
    server.until_idle()
    assert list(billing_audit.discrepancies()) == []
    return Completion.objects.get()


def audit_report() -> str:
    return "\n".join(str(one) for one in billing_audit.discrepancies())


def test_a_history_with_another_cost_is_reported(billed: Completion) -> None:
    cost = billed.cost or 0
    assert cost > 0
    Completion.objects.update(cost=cost + 1)
    assert (
        audit_report()
        == f"{billed.public_id}: it says that it cost {cost + 1} nano-USD, and {cost} were billed"
    )


def test_a_history_with_another_usage_is_reported(billed: Completion) -> None:
    Completion.objects.update(completion_tokens=billed.completion_tokens + 1)
    assert audit_report() == f"{billed.public_id}: its usage is not what was billed"


def test_a_settled_answer_that_goes_on_is_reported(billed: Completion) -> None:
    Completion.objects.update(state=Completion.State.IN_PROGRESS)
    assert f"{billed.public_id}: it is settled, but has not ended" in audit_report()


def test_an_answer_that_nothing_was_held_for_is_reported(billed: Completion, alice: Person) -> None:
    settle_call(alice, day(2))  # older than the answer
    with tampering():
        Charge.objects.filter(pk=billed.pk).delete()
    first = Charge.objects.get()
    with tampering():
        Charge.objects.filter(pk=first.pk).update(id=UUID(int=1))
    assert audit_report() == f"{billed.public_id}: nothing was held for it, and nothing billed"


def test_an_ended_answer_that_is_still_held_is_reported(billed: Completion) -> None:
    with tampering():
        Charge.objects.filter(pk=billed.pk).update(state="held", cost=None, ended_at=None)
    assert audit_report() == f"{billed.public_id}: it has ended, but is not settled"


def test_words_that_nothing_was_billed_for_are_reported(billed: Completion) -> None:
    nothing = dict.fromkeys(Usage().counts, 0)
    Completion.objects.update(**nothing)
    assert f"{billed.public_id}: something was answered, and nothing was billed" in audit_report()


# --- the command, and the daily task --------------------------------------------------------------


def verify_ledger() -> tuple[int, list[str]]:
    output = StringIO()
    try:
        call_command("verify_ledger", stdout=output)
    except SystemExit as end:
        return int(str(end.code)), output.getvalue().splitlines()
    return 0, output.getvalue().splitlines()


def test_the_command_finds_nothing_in_a_clean_ledger(alice_ledger: AliceLedger) -> None:
    assert verify_ledger() == (0, ["4 charges, 4 transactions, 0 discrepancies"])


def test_the_command_prints_what_is_wrong_and_exits_1(alice_ledger: AliceLedger) -> None:
    with tampering():
        fill_the_wallet(alice_ledger)
        change_the_cost(alice_ledger)
    status, lines = verify_ledger()
    assert status == 1
    assert f"completion {alice_ledger.ended.id.hex}: what was used costs 23000" in "\n".join(lines)
    assert f"wallet of workspace {alice_ledger.workspace}: its balance is 4999830001" in "\n".join(lines)
    assert lines[-1].startswith("4 charges, 4 transactions, ")
    assert int(lines[-1].split()[4]) == len(lines) - 1


def test_reconciling_raises_one_alert_and_settles_it(
    alice_ledger: AliceLedger, caplog: pytest.LogCaptureFixture
) -> None:
    assert billing_audit.reconcile() == 0
    assert not Alert.objects.exists()
    Wallet.objects.update(balance=F("balance") + 1)
    for _ in range(2):
        assert billing_audit.reconcile() == 1
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject, alert.settled_at) == (Alert.Kind.DISCREPANCY, "books", None)
    assert "1 discrepancy." in alert.text
    assert f"wallet of workspace {alice_ledger.workspace}" in alert.text
    assert len([record for record in caplog.records if "do not add up" in record.message]) == 1
    Wallet.objects.update(balance=F("balance") - 1)
    assert billing_audit.reconcile() == 0
    assert Alert.objects.get().settled_at is not None


def test_an_alert_lists_the_first_and_counts_the_rest(alice_ledger: AliceLedger) -> None:
    Spend.objects.bulk_create(
        Spend(id=new_id(), scope_id=new_id(), day=day(4).date(), amount=1) for _ in range(25)
    )
    assert billing_audit.reconcile() == 25
    text = Alert.objects.get().text
    assert text.count("were spent") == billing_audit.MAX_LISTED
    assert "and 15 more" in text


# --- reading side by side -------------------------------------------------------------------------


def test_streams_are_read_side_by_side() -> None:
    left = [(1, "a"), (3, "b"), (4, "c")]
    right = [(2, "A"), (3, "B"), (5, "C")]
    assert list(reconciliation.merge_by_key(left, right)) == [
        (1, "a", None),
        (2, None, "A"),
        (3, "b", "B"),
        (4, "c", None),
        (5, None, "C"),
    ]
    assert list(reconciliation.merge_by_key([], right)) == [(key, None, value) for key, value in right]
    assert list(reconciliation.merge_by_key(left, [])) == [(key, value, None) for key, value in left]
    assert list(reconciliation.merge_by_key([], [])) == []
