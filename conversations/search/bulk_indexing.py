"""Indexing of a whole history by all processors, in a database that nobody else writes to."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from django.db import connection, transaction
from django.db.models import Min

from conversations.models import SearchMark
from conversations.search.bulk_processes import set_up
from conversations.search.documents import DocumentRow, Place, insert_documents, make_documents

BATCH = 4000


def index_all_marked() -> None:
    """Index all that is marked, of which nothing is indexed yet.

    Other processes find the words, and this one writes them.
    """
    firsts = SearchMark.objects.values("conversation", "message").annotate(first=Min("pk")).values("first")
    SearchMark.objects.exclude(pk__in=firsts).delete()  # one is enough for a document
    count = os.cpu_count() or 1
    waiting: deque[tuple[int, Future[list[DocumentRow]]]] = deque()
    database = connection.settings_dict["NAME"]
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=set_up, initargs=(database,)) as pool:
        for marks in _marks():
            waiting.append((marks[-1][0], pool.submit(_make, marks)))
            if len(waiting) > 2 * count:
                _save(*waiting.popleft())
        while waiting:
            _save(*waiting.popleft())


def _marks() -> Iterator[list[tuple[int, Place]]]:
    after = 0
    while True:
        rows = SearchMark.objects.filter(pk__gt=after).order_by("pk")
        marks = list(rows.values_list("pk", "conversation", "message")[:BATCH])
        if not marks:
            return
        after = marks[-1][0]
        yield [(pk, (conversation, message)) for pk, conversation, message in marks]


def _make(marks: list[tuple[int, Place]]) -> list[DocumentRow]:
    try:
        return make_documents({place: pk for pk, place in marks})
    finally:
        connection.close()


@transaction.atomic
def _save(last: int, rows: "Future[list[DocumentRow]]") -> None:
    insert_documents(rows.result())
    SearchMark.objects.filter(pk__lte=last).delete()
