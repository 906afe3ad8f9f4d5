"""The index made anew, beside running calls and searches."""

from collections.abc import Callable, Iterator
from itertools import chain
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from conversations.models import Conversation, Message, SearchDocument, SearchMark
from conversations.search.documents import Place, write_documents
from conversations.search.indexing import index_marked
from core.ids import new_id

BATCH = 200


def rebuild(report: Callable[[int], object] = lambda _: None) -> int:
    """Write each document anew, and those that are missing; return how many there were.

    `report` is told the number so far. It may be killed anywhere: what it wrote stays, and the next run
    begins anew. What is stored meanwhile is marked, and left to the indexer.
    """
    done, before = 0, new_id()
    index_marked()
    for size in chain(_rewritten(), _added(_missing_messages, before), _added(_missing_titles, before)):
        done += size
        report(done)
    return done


def _rewritten() -> Iterator[int]:
    after = 0
    while True:
        with transaction.atomic():
            documents = SearchDocument.objects.select_for_update(of=("self",)).filter(pk__gt=after)
            columns = documents.order_by("pk").values_list("pk", "conversation", "message")
            batch = list(columns[:BATCH])
            write_documents({(conversation, message): pk for pk, conversation, message in batch})
        if not batch:
            return
        after = batch[-1][0]
        yield len(batch)


def _added(missing: Callable[[UUID, UUID], list[Place]], before: UUID) -> Iterator[int]:
    after = UUID(int=0)
    while batch := missing(after, before):
        try:
            _add(batch)
        except IntegrityError:  # one was indexed at this very moment
            continue
        after = batch[-1][1] or batch[-1][0]
        yield len(batch)


@transaction.atomic
def _add(places: list[Place]) -> None:
    # locked, or one could be deleted meanwhile, and its words would stay
    ids = {conversation for conversation, _ in places}
    list(
        Conversation.objects.select_for_update(no_key=True)
        .filter(pk__in=ids)
        .order_by("pk")
        .values_list("pk")
    )
    rows = [SearchMark(conversation_id=conversation, message_id=message) for conversation, message in places]
    marks = SearchMark.objects.bulk_create(rows)
    write_documents(dict(zip(places, (mark.pk for mark in marks), strict=True)))
    SearchMark.objects.filter(pk__in=[mark.pk for mark in marks]).delete()


def _missing_messages(after: UUID, before: UUID) -> list[Place]:
    there = SearchDocument.objects.filter(message=OuterRef("pk"))
    messages = Message.objects.filter(~Exists(there), pk__gt=after, pk__lt=before, emptied_at=None)
    missing = messages.exclude(role=Message.Role.SYSTEM).order_by("pk")
    return list(missing.values_list("conversation", "pk")[:BATCH])


def _missing_titles(after: UUID, before: UUID) -> list[Place]:
    there = SearchDocument.objects.filter(conversation=OuterRef("pk"), message=None)
    titled = Conversation.objects.exclude(titled_by=Conversation.TitledBy.FIRST_WORDS).exclude(title="")
    missing = titled.filter(~Exists(there), pk__gt=after, pk__lt=before).order_by("pk")
    return [(id, None) for id in missing.values_list("pk", flat=True)[:BATCH]]
