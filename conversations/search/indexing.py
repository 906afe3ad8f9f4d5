"""The index follows the history: what is marked becomes documents, a batch a transaction.

It may be killed anywhere: a mark goes with the transaction that writes its document. Two indexers take turns:
both want the oldest marks first, and lock them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef

from conversations.models import Conversation, Message, SearchDocument, SearchMark
from conversations.search.owners import owners_of, workspace_code
from conversations.search.schema import DOCUMENTS
from conversations.search.texts import (
    SearchedText,
    message_texts,
    read_conversations,
    read_messages,
    title_texts,
)
from conversations.search.tokenizer import words_of
from core.bulk_sql import id_to_driver

BATCH = 100
"""Marks a transaction: other writers of SQLite wait meanwhile, some ms."""
MAX_WORD_BYTES = 700_000
"""Of all words of a document, with what PostgreSQL needs beside each: it takes a megabyte."""
_BYTES_BESIDE = 12


def index_marked(seconds: float) -> int:
    """Index what is marked, the oldest first, for at most this long; return how many marks are gone."""
    until, done = time.monotonic() + seconds, 0
    while SearchMark.objects.exists():
        done += _index_batch()
        if time.monotonic() > until:
            break
    return done


def _index_batch() -> int:
    try:
        with transaction.atomic():
            marks = list(SearchMark.objects.select_for_update(of=("self",)).order_by("pk")[:BATCH])
            _index({(mark.conversation_id, mark.message_id): mark.pk for mark in reversed(marks)})
            SearchMark.objects.filter(pk__in=[mark.pk for mark in marks]).delete()
    except IntegrityError:  # a conversation was deleted at this very moment
        return 0
    return len(marks)


Place = tuple[UUID, UUID | None]
"""A conversation and its message, or None for its title."""


def _index(wanted: dict[Place, int]) -> None:
    """Write, or delete, the documents of these places; new ones get the given ids."""
    of_messages = {message: place for place in wanted if (message := place[1]) is not None}
    titled = [conversation for conversation, message in wanted if message is None]
    texts = _texts_of_messages(of_messages) | _texts_of_titles(titled)
    old = _documents(of_messages, titled)
    rows = [
        (old.get(place, wanted[place]), *place, words_in_index(conversation, found))
        for place, (conversation, found) in sorted(texts.items(), key=lambda item: wanted[item[0]])
        if found
    ]
    _write(rows)
    gone = [id for place, id in old.items() if not texts.get(place, (None, ()))[1]]
    if gone:
        SearchDocument.objects.filter(pk__in=gone).delete()


_Texts = dict[Place, tuple[Conversation, list[SearchedText]]]


def _texts_of_messages(ids: Iterable[UUID]) -> _Texts:
    messages = read_messages(ids)
    texts = message_texts(messages)
    return {
        (message.conversation.pk, message.id): (message.conversation, texts[message.id])
        for message in messages
    }


def _texts_of_titles(ids: Sequence[UUID]) -> _Texts:
    return {(id, None): (row, title_texts(row)) for id, row in read_conversations(ids).items()}


def _documents(messages: Iterable[UUID], titled: Sequence[UUID]) -> dict[Place, int]:
    """Return the ids of the documents that are there."""
    found = SearchDocument.objects.filter(message__in=list(messages)).values_list(
        "conversation", "message", "pk"
    )
    documents: dict[Place, int] = {(conversation, message): pk for conversation, message, pk in found}
    if titled:
        titles = SearchDocument.objects.filter(conversation__in=titled, message=None)
        documents |= {
            (conversation, None): pk for conversation, pk in titles.values_list("conversation", "pk")
        }
    return documents


def words_in_index(conversation: Conversation, texts: Iterable[SearchedText]) -> list[str]:
    """Return all words of a document as they are in the index: marked with its workspace, and its owners."""
    code = workspace_code(conversation.workspace_id)
    said: set[str] = set().union(*(words_of(text) for _, text, _ in texts))
    return [*owners_of(conversation), *(code + word for word in _bounded(said))]


def _bounded(words: set[str]) -> Iterable[str]:
    if len(words) * (4 * 40 + _BYTES_BESIDE) <= MAX_WORD_BYTES:
        return words
    kept, size = [], 0
    for word in sorted(words):
        size += len(word.encode()) + _BYTES_BESIDE
        if size > MAX_WORD_BYTES:
            break
        kept.append(word)
    return kept


def _write(rows: Sequence[tuple[int, UUID, UUID | None, list[str]]]) -> None:
    if not rows:
        return
    words_field: Any = SearchDocument._meta.get_field("words")
    place = words_field.get_placeholder(None, None, connection)
    statement = (
        f"INSERT INTO {DOCUMENTS} (id, conversation_id, message_id, words) VALUES (%s, %s, %s, {place}) "  # noqa: S608
        "ON CONFLICT (id) DO UPDATE SET words = excluded.words"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (id, id_to_driver(conversation), message and id_to_driver(message), " ".join(words))
                for id, conversation, message, words in rows
            ],
        )


# --- the whole index ------------------------------------------------------------------------------

REBUILD_BATCH = 500


def rebuild(report: Callable[[int], object] = lambda _: None) -> int:
    """Write each document anew, and those that are missing; return how many there were.

    Calls and searches go on meanwhile. `report` is told the number so far. It may be killed anywhere: what it
    wrote stays, and the next run begins anew.
    """
    done = 0
    for size in chain(_rewritten(), _added(_missing_messages), _added(_missing_titles)):
        done += size
        report(done)
    return done


def _rewritten() -> Iterator[int]:
    after = 0
    while True:
        with transaction.atomic():
            documents = SearchDocument.objects.select_for_update(of=("self",)).filter(pk__gt=after)
            columns = documents.order_by("pk").values_list("pk", "conversation", "message")
            batch = list(columns[:REBUILD_BATCH])
            _index({(conversation, message): pk for pk, conversation, message in batch})
        if not batch:
            return
        after = batch[-1][0]
        yield len(batch)


def _added(missing: Callable[[UUID], list[Place]]) -> Iterator[int]:
    after = UUID(int=0)
    while batch := missing(after):
        try:
            with transaction.atomic():
                rows = [SearchMark(conversation_id=place[0], message_id=place[1]) for place in batch]
                marks = SearchMark.objects.bulk_create(rows)
                _index(dict(zip(batch, (mark.pk for mark in marks), strict=True)))
                SearchMark.objects.filter(pk__in=[mark.pk for mark in marks]).delete()
        except IntegrityError:  # one was deleted, or indexed, at this very moment
            continue
        after = batch[-1][1] or batch[-1][0]
        yield len(batch)


def _missing_messages(after: UUID) -> list[Place]:
    there = SearchDocument.objects.filter(message=OuterRef("pk"))
    messages = Message.objects.filter(~Exists(there), pk__gt=after, emptied_at=None)
    missing = messages.exclude(role=Message.Role.SYSTEM).order_by("pk")
    return list(missing.values_list("conversation", "pk")[:REBUILD_BATCH])


def _missing_titles(after: UUID) -> list[Place]:
    there = SearchDocument.objects.filter(conversation=OuterRef("pk"), message=None)
    titled = Conversation.objects.exclude(titled_by=Conversation.TitledBy.FIRST_WORDS).exclude(title="")
    missing = titled.filter(~Exists(there), pk__gt=after).order_by("pk")
    return [(id, None) for id in missing.values_list("pk", flat=True)[:REBUILD_BATCH]]
