"""The index follows the history: what is marked becomes documents, a batch a transaction.

It may be killed anywhere: a mark goes with the transaction that writes its document. Two indexers take turns:
both want the oldest marks first, and lock them.
"""

import logging
import time
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from conversations.models import SearchMark
from conversations.search.documents import hold_conversations, place_from_driver, write_documents
from conversations.search.schema import MARKS
from core.bulk_sql import execute, fetch

logger = logging.getLogger(__name__)

BATCH = 300
"""Marks a transaction, for which other writers of SQLite wait, some 20 ms. With 100, each costs more."""


def index_marked(seconds: float = 3600.0, *, batch: int = BATCH) -> int:
    """Index what is marked, the oldest first, for at most this long; return how many marks are gone."""
    until, done = time.monotonic() + seconds, 0
    while marks := _oldest_marks(batch):
        done += _index(marks)
        if time.monotonic() > until:
            break
    return done


_SELECT_MARKS = f"SELECT id, conversation_id, message_id FROM {MARKS}"  # noqa: S608
_Mark = tuple[int, Any, Any]
"""A mark, its conversation and its message, as the driver gives them: to convert an id takes 1 µs."""


def _oldest_marks(count: int) -> list[_Mark]:
    return fetch(f"{_SELECT_MARKS} ORDER BY id LIMIT ?", [count])


def _index(marks: list[_Mark]) -> int:
    """Index these, unless another process does; return how many are gone."""
    try:
        return _index_locked(marks)
    except IntegrityError:  # another made one of these documents at this very moment
        return 0
    except (InterfaceError, OperationalError):
        raise
    except Exception:
        if len(marks) > 1:
            return sum(_index([mark]) for mark in marks)
        [(id, *place)] = marks
        conversation, message = place_from_driver(*place)
        logger.exception("The search misses %s: it cannot be indexed", message or conversation)
        return SearchMark.objects.filter(pk=id).delete()[0]


@transaction.atomic
def _index_locked(wanted: list[_Mark]) -> int:
    # first, as deletions do
    hold_conversations(conversation for _, conversation, _ in wanted)
    ids = [id for id, *_ in wanted]
    places = ", ".join("?" * len(ids))
    marks: list[_Mark] = fetch(f"{_SELECT_MARKS} WHERE id IN ({places}) ORDER BY id {_for_update()}", ids)
    # of several marks for one place, the first gives its document the id
    write_documents({place_from_driver(*place): id for id, *place in reversed(marks)})
    execute(f"DELETE FROM {MARKS} WHERE id IN ({places})", ids)  # noqa: S608
    return len(marks)


def _for_update() -> str:
    return "FOR UPDATE" if connection.vendor == "postgresql" else ""
