"""The index follows the history: what is marked becomes documents, a batch a transaction.

It may be killed anywhere: a mark goes with the transaction that writes its document. Two indexers take turns:
both want the oldest marks first, and lock them.
"""

import logging
import time
from uuid import UUID

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from conversations.models import SearchMark
from conversations.search.documents import hold_conversations, write_documents

logger = logging.getLogger(__name__)

BATCH = 100
"""Marks a transaction: other writers of SQLite wait meanwhile, some ms."""


def index_marked(seconds: float = 3600.0) -> int:
    """Index what is marked, the oldest first, for at most this long; return how many marks are gone."""
    until, done = time.monotonic() + seconds, 0
    while marks := _oldest_marks():
        done += _index(marks)
        if time.monotonic() > until:
            break
    return done


_Marks = list[tuple[int, UUID, UUID | None]]


def _oldest_marks() -> _Marks:
    marks = SearchMark.objects.order_by("pk").values_list("pk", "conversation", "message")
    return list(marks[:BATCH])


def _index(marks: _Marks) -> int:
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
        logger.exception("The search misses %s: it cannot be indexed", marks[0][2] or marks[0][1])
        return SearchMark.objects.filter(pk=marks[0][0]).delete()[0]


@transaction.atomic
def _index_locked(wanted: _Marks) -> int:
    # first, as deletions do
    hold_conversations(conversation for _, conversation, _ in wanted)
    columns = SearchMark.objects.select_for_update(of=("self",)).values_list("pk", "conversation", "message")
    marks = list(columns.filter(pk__in=[pk for pk, *_ in wanted]).order_by("pk"))
    # of several marks for one place, the first gives its document the id
    write_documents({(conversation, message): pk for pk, conversation, message in reversed(marks)})
    SearchMark.objects.filter(pk__in=[pk for pk, *_ in marks]).delete()
    return len(marks)
