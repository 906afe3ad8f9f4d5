"""The database refuses to edit security events, whoever asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.security_events import triggers
from accounts.security_events.recording import Kind
from tests.support.people import Person

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no REPLACE")


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(IntegrityError, match=message), transaction.atomic():
        yield


@pytest.fixture
def event(alice: Person, charlie: Person) -> SecurityEvent:
    event = SecurityEvent(
        kind=Kind.EMAIL_CHANGED,
        user=alice.user,
        by=charlie.user,
        workspace_id=uuid4(),
        key_id=uuid4(),
        key_prefix="sk-chatapi-abcd",
        address="203.0.113.9",
        user_agent="Firefox",
    )
    before: Any = {"before": "al@example.com"}
    event.details = before
    event.save()
    return event


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "signed_in"},
        {"at": timezone.now() - timedelta(days=100)},
        {"id": uuid4()},
        {"workspace_id": None},
        {"key_id": None},
        {"key_prefix": ""},
        {"address": "198.51.100.1"},
        {"user_agent": "Chrome"},
        {"details": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_event_is_not_changed(event: SecurityEvent, change: dict[str, Any]) -> None:
    with refused("only what is personal is erased"):
        SecurityEvent.objects.filter(pk=event.pk).update(**change)


@pytest.mark.parametrize("column", ["user", "by"])
def test_an_event_is_not_put_onto_somebody_else(event: SecurityEvent, bob: Person, column: str) -> None:
    rows = SecurityEvent.objects.filter(pk=event.pk)
    with refused("only what is personal is erased"):
        rows.update(**{column: bob.user})
    rows.update(**{column: None})
    with refused("only what is personal is erased"):
        rows.update(**{column: bob.user})


def test_what_is_personal_is_erased(event: SecurityEvent) -> None:
    erased: dict[str, Any] = {"user": None, "by": None, "address": None, "user_agent": "", "details": None}
    assert SecurityEvent.objects.filter(pk=event.pk).update(**erased) == 1


def test_a_user_who_is_deleted_in_any_way_takes_no_event_along(event: SecurityEvent, charlie: Person) -> None:
    User.objects.create_user("dana@example.com").delete()
    dana = User.objects.create_user("dana@example.com")
    SecurityEvent.objects.create(kind=Kind.SIGNED_IN, user=dana)
    dana.delete()
    assert SecurityEvent.objects.get(kind=Kind.SIGNED_IN).user is None


def test_an_event_is_deleted_only_when_it_is_old(event: SecurityEvent) -> None:
    with refused("kept for 90 days"):
        SecurityEvent.objects.filter(pk=event.pk).delete()
    for days, is_old in ((89, False), (91, True)):
        other = SecurityEvent.objects.create(kind="signed_in", at=timezone.now() - timedelta(days=days))
        if is_old:
            other.delete()
        else:
            with refused("kept for 90 days"):
                other.delete()


@on_sqlite
def test_no_event_is_replaced(event: SecurityEvent) -> None:
    with refused("kept for 90 days"), connection.cursor() as cursor:
        cursor.execute("INSERT OR REPLACE INTO accounts_securityevent SELECT * FROM accounts_securityevent")


@on_postgresql
def test_the_table_is_not_emptied(event: SecurityEvent) -> None:
    with refused("never emptied"), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE accounts_securityevent")


def test_all_guards_are_there(db: None) -> None:
    assert triggers.missing_triggers(connection) == set()
