"""The index follows the history: what is marked becomes documents, a batch a transaction.

It may be killed anywhere: a mark goes with the transaction that writes its document. Two indexers take turns:
both want the oldest marks first, and lock them.
"""

import time
from contextlib import suppress

from django.db import IntegrityError, transaction

from conversations.models import SearchMark
from conversations.search.documents import write_documents

BATCH = 100
"""Marks a transaction: other writers of SQLite wait meanwhile, some ms."""


def index_marked(seconds: float = 3600.0) -> int:
    """Index what is marked, the oldest first, for at most this long; return how many marks are gone."""
    until, done = time.monotonic() + seconds, 0
    while SearchMark.objects.exists():
        with suppress(IntegrityError):  # another made one of these documents at this very moment
            done += _index_batch()
        if time.monotonic() > until:
            break
    return done


@transaction.atomic
def _index_batch() -> int:
    columns = SearchMark.objects.select_for_update(of=("self",)).values_list("pk", "conversation", "message")
    marks = list(columns.order_by("pk")[:BATCH])
    # of several marks for one place, the first gives its document the id
    write_documents({(conversation, message): pk for pk, conversation, message in reversed(marks)})
    SearchMark.objects.filter(pk__in=[pk for pk, *_ in marks]).delete()
    return len(marks)
