"""Seeding: a whole demo history into the database, as fast as it takes rows."""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime
from random import Random
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from billing.models import NO_WORKSPACE, Account, account_id
from chatapi.demo.bulk_loading import bulk_loading
from chatapi.demo.demo_models import price_models
from chatapi.demo.history import Plan, make_history
from chatapi.demo.library import create_libraries
from chatapi.demo.people import Credentials, create_people
from chatapi.demo.population import SPAN, Size
from chatapi.demo.producer import produce
from chatapi.demo.rows import as_milliseconds
from chatapi.demo.tables import COLUMNS, Rows, write_rows
from conversations.models import Completion, Conversation
from conversations.search.bulk_indexing import index_all_marked
from conversations.search.indexing import index_marked
from conversations.search.schema import without_marks_of_files

LARGE = 30_000
"""From how many messages on it is worth another process, and to load without indexes."""

Say = Callable[[str], object]


class Seeded(NamedTuple):
    """What was made: rows by table, and who can sign in."""

    counts: dict[str, int]
    credentials: Credentials


class Wishes(NamedTuple):
    """What is to be made. `until` is when the newest message may be from."""

    messages: int
    workspaces: int
    seed: int
    until: datetime


def has_history() -> bool:
    return Conversation.objects.exists() or Completion.objects.exists()


def seed_history(wishes: Wishes, say: Say) -> Seeded:
    """Make a history. If it breaks off, begin again with a new database: its sums are written last."""
    is_large, is_first = wishes.messages >= LARGE, not has_history()
    plan, credentials = prepare(wishes)
    make = produce if is_large else make_history
    with bulk_loading() if is_large and is_first else nullcontext():
        with without_marks_of_files(connection):  # the messages that hold them are marked themselves
            counts = _write(make(plan), wishes.messages, say)
        say("Indexing for the search")
        index = index_all_marked if is_large and is_first else index_marked
        index()
    _tidy_up()
    return Seeded(counts, credentials)


def prepare(wishes: Wishes) -> tuple[Plan, Credentials]:
    """Make what the history refers to: people, keys, prices, accounts and files."""
    begin = wishes.until - SPAN
    with transaction.atomic():
        credentials = create_people(wishes.workspaces, Random(f"people {wishes.seed}"), begin)  # noqa: S311
        models = price_models(begin, wishes.until)
        workspaces = [UUID(tenant.id) for tenant in credentials.tenants]
        _create_accounts(workspaces)
        libraries = create_libraries(workspaces, begin)
    size = Size(wishes.messages, as_milliseconds(wishes.until))
    plan = Plan(
        wishes.seed,
        size,
        as_milliseconds(begin),
        credentials.tenants,
        libraries,
        models,
        settings.CHATAPI_CREDIT_LIMIT,
    )
    return plan, credentials


def _create_accounts(workspaces: Iterable[UUID]) -> None:
    kinds = Account.Kind
    owners = [(kinds.REVENUE, NO_WORKSPACE), (kinds.PAYMENT, NO_WORKSPACE)]
    owners += [(kinds.WALLET, id) for id in workspaces]
    accounts = [Account(id=account_id(kind, id), kind=kind, workspace_id=id) for kind, id in owners]
    Account.objects.bulk_create(accounts, ignore_conflicts=True)


def _write(batches: Iterable[Rows], messages: int, say: Say) -> dict[str, int]:
    counts = dict.fromkeys(COLUMNS, 0)
    began = said = time.monotonic()
    for rows in batches:
        write_rows(rows)
        for name, some in rows.items():
            counts[name] += len(some)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            say(f"{counts['messages']:,} of {messages:,} messages, {said - began:.0f} s")
    return {name: count for name, count in counts.items() if count}


def _tidy_up() -> None:
    """Let PostgreSQL know what there is, as its autovacuum would in some minutes."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
