"""Documents: the words of a message or a title, as the index has them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from conversations.models import SearchDocument
from conversations.search.owners import owners_of, workspace_code
from conversations.search.schema import CONVERSATIONS, DOCUMENTS
from conversations.search.texts import (
    SearchedConversation,
    SearchedText,
    message_texts,
    read_conversations,
    read_messages,
    title_texts,
)
from conversations.search.tokenizer import MAX_WORD, words_of
from core.bulk_sql import fetch_by_ids, id_from_driver, ids_to_driver

MAX_WORD_BYTES = 700_000
"""Of all words of a document, with what PostgreSQL needs beside each: it takes a megabyte."""
_BYTES_BESIDE = 12

Place = tuple[UUID, UUID | None]
"""A conversation and its message, or None for its title."""


def hold_conversations(ids: Iterable[UUID]) -> None:
    """Keep these conversations from being deleted until the transaction ends; calls go on in them.

    Else a document could be written of what is being deleted, and its words would stay.
    """
    if connection.vendor == "postgresql":  # SQLite has one writer at a time
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT FROM {CONVERSATIONS} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
                [sorted(set(ids))],
            )


DocumentRow = tuple[int, UUID, UUID | None, str]
"""An id, a place, and its words."""


def write_documents(wanted: Mapping[Place, int]) -> None:
    """Write, or delete, the documents of these places; new ones get the given ids.

    Runs inside the caller's transaction.
    """
    old = document_ids(wanted)
    rows, known = make_documents({**wanted, **old}), set(old.values())
    insert_documents([row for row in rows if row[0] not in known])
    _update([row for row in rows if row[0] in known])
    gone = old.keys() - {(conversation, message) for _, conversation, message, _ in rows}
    if gone:
        SearchDocument.objects.filter(pk__in=[old[place] for place in gone]).delete()


def make_documents(ids: Mapping[Place, int]) -> list[DocumentRow]:
    """Return the documents of these places that have any words, in the order of their ids."""
    return sorted(
        (ids[place], *place, _words_in_index(conversation, found))
        for place, (conversation, found) in _read_texts(ids).items()
        if found
    )


def document_ids(places: Collection[Place]) -> dict[Place, int]:
    """Return the ids of the documents that there are of these places."""
    rows = fetch_by_ids(_IDS + "message_id IN ({ids})", [message for _, message in places if message])
    rows += fetch_by_ids(_IDS + "message_id IS NULL AND conversation_id IN ({ids})", _titled(places))
    return {place_from_driver(conversation, message): id for id, conversation, message in rows}


_IDS = f"SELECT id, conversation_id, message_id FROM {DOCUMENTS} WHERE "  # noqa: S608


def place_from_driver(conversation: Any, message: Any) -> Place:
    return id_from_driver(conversation), message and id_from_driver(message)


def _titled(places: Iterable[Place]) -> list[UUID]:
    return [conversation for conversation, message in places if message is None]


def _read_texts(places: Iterable[Place]) -> dict[Place, tuple[SearchedConversation, list[SearchedText]]]:
    messages = read_messages(message for _, message in places if message is not None)
    said = message_texts(messages)
    titles = read_conversations(_titled(places))
    return {
        **{(one.conversation.id, one.id): (one.conversation, said[one.id]) for one in messages},
        **{(id, None): (conversation, title_texts(conversation)) for id, conversation in titles.items()},
    }


def _words_in_index(conversation: SearchedConversation, texts: Iterable[SearchedText]) -> str:
    """Return the words as the index has them: each marked with its workspace, and the owners beside."""
    code = workspace_code(conversation.workspace_id)
    said: set[str] = set().union(*(words_of(text) for _, text, _ in texts))
    return " ".join([*owners_of(conversation), *map(code.__add__, _bounded(said))])


def _bounded(words: set[str]) -> Collection[str]:
    if len(words) * (4 * MAX_WORD + _BYTES_BESIDE) <= MAX_WORD_BYTES:
        return words
    size, in_order = 0, sorted(words)
    for number, word in enumerate(in_order):
        size += len(word.encode()) + _BYTES_BESIDE
        if size > MAX_WORD_BYTES:
            return in_order[:number]
    return in_order


def insert_documents(rows: Sequence[DocumentRow]) -> None:
    """Insert documents. Raises `IntegrityError` if there is one of a place, or of an id, already."""
    conversations = ids_to_driver(conversation for _, conversation, _, _ in rows)
    messages = iter(ids_to_driver(message for _, _, message, _ in rows if message))
    _execute(
        f"INSERT INTO {DOCUMENTS} (id, conversation_id, message_id, words) VALUES (%s, %s, %s, {{words}})",  # noqa: S608
        [
            (id, conversation, message and next(messages), words)
            for (id, _, message, words), conversation in zip(rows, conversations, strict=True)
        ],
    )


def _update(rows: Sequence[DocumentRow]) -> None:
    _execute(
        f"UPDATE {DOCUMENTS} SET words = {{words}} WHERE id = %s",  # noqa: S608
        [(words, id) for id, _, _, words in rows],
    )


def _execute(statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    field: Any = SearchDocument._meta.get_field("words")
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(statement.format(words=field.get_placeholder(None, None, connection)), values)
