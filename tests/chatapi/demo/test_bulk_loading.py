"""Bulk loading leaves a database as it was: with all indexes, constraints and checks."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from chatapi.demo.bulk_loading import bulk_loading
from chatapi.demo.tables import write_rows
from conversations.models import Message

_OBJECTS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
    "postgresql": (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype = 'f' ORDER BY 1, 2"
    ),
}


def objects() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTS[connection.vendor])
        return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_all_indexes_and_constraints_are_there_afterwards() -> None:
    before = objects()
    with bulk_loading():
        assert objects() != before
    assert objects() == before


@pytest.mark.django_db(transaction=True)
def test_they_are_there_even_if_it_fails() -> None:
    before = objects()
    with pytest.raises(RuntimeError), bulk_loading():
        raise RuntimeError
    assert objects() == before


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_large_history_is_loaded_so_and_accepted() -> None:
    before = objects()
    call_command("seed_demo", messages=40_000)
    assert objects() == before
    assert Message.objects.count() == 40_000
    call_command("verify_ledger")


@pytest.mark.django_db(transaction=True)
def test_rows_that_refer_to_nothing_are_told_of() -> None:
    row = ("0" * 32, "1" * 32)
    before = objects()
    with pytest.raises(IntegrityError), bulk_loading():
        write_rows({"conversation_labels": [row]})
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM conversations_conversationlabel")
    assert connection.vendor == "postgresql" or objects() == before
