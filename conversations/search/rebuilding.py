"""The index made anew, beside running calls and searches."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, Min, OuterRef

from conversations.models import Conversation, Message, SearchDocument
from conversations.search.documents import Place, hold_conversations, write_documents
from conversations.search.indexing import index_marked
from core.ids import new_id

BATCH = 200


def rebuild(report: Callable[[int], object] = lambda _: None) -> int:
    """Write each document anew, and those that are missing; return how many there were.

    `report` is told the number so far. It may be killed anywhere: what it wrote stays, and the next run
    begins anew. What is stored meanwhile is marked, and left to the indexer.
    """
    done, begin = 0, new_id()
    index_marked()
    for size in chain(_rewritten(), _added(begin)):
        done += size
        report(done)
    return done


def _rewritten() -> Iterator[int]:
    after = -(2**63)
    while True:
        rows = SearchDocument.objects.filter(pk__gt=after).order_by("pk")
        batch = list(rows.values_list("pk", "conversation", "message")[:BATCH])
        if not batch:
            return
        _rewrite(batch)
        after = batch[-1][0]
        yield len(batch)


@transaction.atomic
def _rewrite(batch: Sequence[tuple[int, UUID, UUID | None]]) -> None:
    hold_conversations(conversation for _, conversation, _ in batch)
    documents = SearchDocument.objects.select_for_update(of=("self",)).order_by("pk")
    still = documents.filter(pk__in=[pk for pk, *_ in batch]).values_list("pk", "conversation", "message")
    write_documents({(conversation, message): pk for pk, conversation, message in still})


def _added(before: UUID) -> Iterator[int]:
    """Add what is missing, the newest first, each below all that are there: what came since is newer."""
    while batch := _missing(before):
        try:
            _add(batch)
        except IntegrityError:  # one was indexed at this very moment: the next look does not find it
            continue
        before = _time_of(batch[-1])
        yield len(batch)


@transaction.atomic
def _add(places: list[Place]) -> None:
    hold_conversations(conversation for conversation, _ in places)
    lowest = min(0, SearchDocument.objects.aggregate(lowest=Min("pk"))["lowest"] or 0)
    write_documents({place: lowest - number for number, place in enumerate(places, 1)})


def _missing(before: UUID) -> list[Place]:
    """Return the newest places before an id that should have a document, and have none."""
    of_message = SearchDocument.objects.filter(message=OuterRef("pk"))
    messages = Message.objects.filter(~Exists(of_message), pk__lt=before, emptied_at=None)
    said = messages.exclude(role=Message.Role.SYSTEM).order_by("-pk").values_list("conversation", "pk")
    of_title = SearchDocument.objects.filter(conversation=OuterRef("pk"), message=None)
    titled = Conversation.objects.exclude(titled_by=Conversation.TitledBy.FIRST_WORDS).exclude(title="")
    titles = titled.filter(~Exists(of_title), pk__lt=before).order_by("-pk").values_list("pk", flat=True)
    places: list[Place] = [*said[:BATCH], *((id, None) for id in titles[:BATCH])]
    return sorted(places, key=_time_of, reverse=True)[:BATCH]


def _time_of(place: Place) -> UUID:
    """Return the id of a place, which tells when it was made."""
    conversation, message = place
    return message or conversation
