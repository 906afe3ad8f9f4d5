"""The database itself refuses what must never happen, whoever writes and however."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F, Model
from django.utils import timezone

from billing import ledger, triggers
from billing.charge_posting import post_settled
from billing.models import Account, Charge, Entry, Price, Rate, Transaction, account_id
from billing.prices import add_price
from core.ids import new_id
from tests.support.billed_months import USD, create_wallet, day, hold_call, settle_call
from tests.support.people import Person

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer, and no TRUNCATE"
)
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL alters tables in place")


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect the database to refuse the block, at its end at the latest."""
    with pytest.raises(IntegrityError, match=message), transaction.atomic():  # noqa: PT012
        yield
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # as a commit does; the test's own transaction never commits
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        else:
            connection.check_constraints()


@pytest.fixture
def posted(alice: Person) -> Charge:
    ledger.top_up(alice.workspace.id, 5 * USD, reason="paid", by="treasurer")
    charge = settle_call(alice, day(3))
    post_settled()
    return charge


def accounts() -> tuple[UUID, UUID]:
    for kind in ("revenue", "promotion"):
        Account.objects.get_or_create(id=account_id(kind), defaults={"kind": kind})
    return account_id("revenue"), account_id("promotion")


def write_transaction(*amounts: int) -> Transaction:
    """Write a transaction with entries of these amounts, entries first."""
    made = Transaction(kind="adjustment", workspace_id=new_id(), reason="a test")
    for account, amount in zip(accounts(), amounts, strict=False):
        Entry.objects.create(transaction_id=made.id, account_id=account, amount=amount)
    made.save(force_insert=True)
    return made


# --- transactions ---------------------------------------------------------------------------------


def test_a_balanced_transaction_is_accepted(db: None) -> None:
    assert write_transaction(5, -5).entries.count() == 2


@pytest.mark.parametrize("amounts", [(5, -4), (5, 5), (5,), ()])
def test_a_transaction_whose_entries_do_not_sum_to_zero_is_refused(
    db: None, amounts: tuple[int, ...]
) -> None:
    with refused("the entries of a transaction sum to zero"):
        write_transaction(*amounts)


def test_a_transaction_gains_no_entry(db: None) -> None:
    made = write_transaction(5, -5)
    other = Account.objects.create(id=account_id("payment"), kind="payment")
    with refused("a transaction gains no entry"):
        Entry.objects.create(transaction_id=made.id, account=other, amount=1)


def test_entries_without_a_transaction_are_refused(db: None) -> None:
    first, second = accounts()
    missing = new_id()
    with refused("(?i)foreign key"):
        Entry.objects.create(transaction_id=missing, account_id=first, amount=5)
        Entry.objects.create(transaction_id=missing, account_id=second, amount=-5)


def test_empty_entries_and_second_entries_of_an_account_are_refused(db: None) -> None:
    with refused("no_empty_entry"):
        write_transaction(0, 0)
    first, _ = accounts()
    made = new_id()
    with refused("one_entry_an_account|UNIQUE"):
        for amount in (5, -5):
            Entry.objects.create(transaction_id=made, account_id=first, amount=amount)


def test_a_charge_is_written_once(posted: Charge) -> None:
    wallet, revenue = account_id("wallet", posted.workspace_id), account_id("revenue")
    again = Transaction(kind="charge", workspace_id=posted.workspace_id, charge_id=posted.id)
    with refused("nothing_is_charged_twice|UNIQUE"):
        Entry.objects.create(transaction_id=again.id, account_id=wallet, amount=-1)
        Entry.objects.create(transaction_id=again.id, account_id=revenue, amount=1)
        again.save(force_insert=True)


# --- written rows stay as they are ----------------------------------------------------------------


CHANGES: list[tuple[Callable[[], object], str]] = [
    (lambda: Entry.objects.update(amount=F("amount") * 2), "an entry is never changed"),
    (lambda: Entry.objects.all().delete(), "an entry is never deleted"),
    (lambda: Transaction.objects.update(reason="another"), "a transaction is never changed"),
    (lambda: _delete("billing_transaction"), "a transaction is never deleted"),
    (lambda: Price.objects.update(starts_at=F("starts_at") + timedelta(days=1)), "a price is never changed"),
    (lambda: Price.objects.update(is_free=True), "a price is never changed"),
    (lambda: _delete("billing_price"), "a price is never deleted"),
    (lambda: Rate.objects.update(pico_usd=0), "a rate is never changed"),
    (lambda: Rate.objects.all().delete(), "a rate is never deleted"),
    (lambda: Charge.objects.all().delete(), "a charge is never deleted"),
]


def _delete(table: str) -> None:
    """Delete without the ORM, which would refuse by itself."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message for _, message in CHANGES])
def test_written_rows_are_never_changed(posted: Charge, change: Callable[[], object], message: str) -> None:
    with refused(message):
        change()


@on_sqlite
@pytest.mark.parametrize("table", ["transaction", "charge"])
def test_written_rows_are_never_replaced(posted: Charge, table: str) -> None:
    with refused(f"a {table} is never deleted"), connection.cursor() as cursor:
        cursor.execute(f"INSERT OR REPLACE INTO billing_{table} SELECT * FROM billing_{table} LIMIT 1")


@on_postgresql
@pytest.mark.parametrize("table", ["entry", "transaction", "price", "rate", "charge"])
def test_no_table_is_emptied(posted: Charge, table: str) -> None:
    with refused("the books are never emptied"), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"TRUNCATE billing_{table} CASCADE")


# --- prices ---------------------------------------------------------------------------------------


def test_a_price_gains_no_rate(db: None) -> None:
    price = add_price("gpt", {0: {"prompt": 1}})
    with refused("a price gains no rate"):
        Rate.objects.create(price=price, unit="completion", pico_usd=1)


def test_a_price_has_rates_or_is_free(db: None) -> None:
    with refused("a price is free, or has rates"):
        Price.objects.create(model="gpt", starts_at=timezone.now())
    free = Price(model="gpt", starts_at=timezone.now(), is_free=True)
    with refused("a price is free, or has rates"):
        Rate.objects.create(price_id=free.id, unit="prompt", pico_usd=1)
        free.save(force_insert=True)


def test_a_price_begins_after_the_models_last(db: None) -> None:
    last = add_price("gpt", None)
    for starts_at in (last.starts_at, last.starts_at - timedelta(seconds=1)):
        with refused("a price begins after all other prices|UNIQUE|one_price_at_a_time"):
            Price.objects.create(model="gpt", starts_at=starts_at, is_free=True)
    Price.objects.create(model="other", starts_at=last.starts_at, is_free=True)


# --- charges --------------------------------------------------------------------------------------

FORWARD = "a charge is settled once and posted once"


def test_a_charge_only_goes_forward(alice: Person) -> None:
    create_wallet(alice)
    charge = settle_call(alice, day(3))
    row = Charge.objects.filter(pk=charge.pk)
    with refused(FORWARD):
        row.update(state="held", cost=None, ended_at=None)
    with refused(FORWARD):
        row.update(state="settled", cost=1)
    with refused(FORWARD):
        row.update(state="posted", cost=1)
    with refused(FORWARD):
        row.update(id=new_id())
    assert row.update(state="posted") == 1
    for state in ("held", "settled", "posted"):
        with refused(FORWARD):
            row.update(state=state)
    with refused(FORWARD):
        row.update(cost=1)


def test_a_held_charge_is_not_posted(alice: Person) -> None:
    create_wallet(alice)
    hold = hold_call(alice, day(3))
    row = Charge.objects.filter(pk=hold.request.charge_id)
    with refused(FORWARD):
        row.update(state="posted", ended_at=day(3), cost=1)
    with refused(FORWARD):
        row.update(held=1)


def test_what_has_a_price_has_a_cost(alice: Person) -> None:
    create_wallet(alice)
    hold = hold_call(alice, day(3))
    with refused("what_has_a_price_has_a_cost"):
        Charge.objects.filter(pk=hold.request.charge_id).update(state="settled", ended_at=day(3))
    with refused("no_negative_cost"):
        Charge.objects.filter(pk=hold.request.charge_id).update(state="settled", ended_at=day(3), cost=-1)


# --- lost guards ----------------------------------------------------------------------------------


def test_all_guards_are_there(db: None) -> None:
    assert triggers.missing_triggers(connection) == set()


@on_sqlite
def test_guards_that_a_rebuilt_table_lost_are_reported_missing(transactional_db: None) -> None:
    """A migration that alters the table rebuilds it like this."""
    _rebuild(Charge)
    assert triggers.missing_triggers(connection) == {
        "billing_charge_never_deleted",
        "billing_charge_goes_forward",
    }
    with triggers.without_triggers(connection):
        pass
    assert triggers.missing_triggers(connection) == set()


@on_sqlite
@pytest.mark.parametrize("model", [Transaction, Entry, Price, Rate])
def test_tables_that_guards_read_are_not_rebuilt_under_them(
    transactional_db: None, model: type[Model]
) -> None:
    with pytest.raises(OperationalError, match="error in trigger"):
        _rebuild(model)
    with triggers.without_triggers(connection):
        _rebuild(model)
    assert triggers.missing_triggers(connection) == set()


def _rebuild(model: type[Model]) -> None:
    with connection.schema_editor() as editor:
        editor._remake_table(model)  # type: ignore[attr-defined]


@on_postgresql
def test_a_disabled_guard_is_reported_missing(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_entry DISABLE TRIGGER billing_entry_never_changed")
    assert triggers.missing_triggers(connection) == {"billing_entry_never_changed"}


# --- two sessions ---------------------------------------------------------------------------------


@pytest.mark.services
@on_postgresql
def test_two_sessions_cannot_unbalance_a_transaction(transactional_db: None) -> None:
    """One adds an entry while the other seals the transaction, and neither sees the other."""
    first, second = accounts()
    third = account_id("payment")
    Account.objects.create(id=third, kind="payment")
    made = Transaction(kind="adjustment", workspace_id=new_id(), reason="a test")
    with _session() as other:
        other.execute(
            "INSERT INTO billing_entry (id, transaction_id, account_id, amount) VALUES (%s, %s, %s, 7)",
            [new_id(), made.id, third],
        )
        with transaction.atomic():
            Entry.objects.create(transaction_id=made.id, account_id=first, amount=5)
            Entry.objects.create(transaction_id=made.id, account_id=second, amount=-5)
            made.save(force_insert=True)
        with pytest.raises(psycopg.IntegrityError, match="sum to zero"):
            other.commit()
    assert sorted(Transaction.objects.get().entries.values_list("amount", flat=True)) == [-5, 5]


@pytest.mark.services
@on_postgresql
def test_two_sessions_cannot_unbalance_a_transaction_the_other_way_round(transactional_db: None) -> None:
    """The added entry is committed first, so the one that seals must see it."""
    first, second = accounts()
    third = account_id("payment")
    Account.objects.create(id=third, kind="payment")
    made = Transaction(kind="adjustment", workspace_id=new_id(), reason="a test")
    with _session() as other:
        other.execute(
            "INSERT INTO billing_entry (id, transaction_id, account_id, amount) VALUES (%s, %s, %s, 7)",
            [new_id(), made.id, third],
        )
        with pytest.raises(psycopg.IntegrityError, match=r"(?i)foreign key"):
            other.commit()  # the entry has no transaction
    with transaction.atomic():
        Entry.objects.create(transaction_id=made.id, account_id=first, amount=5)
        Entry.objects.create(transaction_id=made.id, account_id=second, amount=-5)
        made.save(force_insert=True)
    assert Transaction.objects.get().entries.count() == 2


@contextmanager
def _session() -> "Iterator[psycopg.Connection]":
    """Open a second connection, in its own transaction."""
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"] or None,
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    ) as session:
        yield session
        session.rollback()
