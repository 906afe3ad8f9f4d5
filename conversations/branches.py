"""Branches of a conversation: which messages lead to one, which follow it, and which stand beside it.

Only ids are read, each time with one recursive query. Deleted messages are left out of what is shown, as if
what follows them followed what was before them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from conversations.models import Conversation, Message
from core.bulk_sql import id_from_driver, id_to_driver

MAX_SIBLINGS = 100
NIL_ID = UUID(int=0)


class Step(NamedTuple):
    """A message on a path."""

    id: UUID
    is_emptied: bool


class Place(NamedTuple):
    """Where a message is shown: after which other, and between which alternatives, itself included."""

    parent_id: UUID | None
    siblings: tuple[UUID, ...]


def path_to_head(conversation_id: UUID) -> list[Step]:
    """Return the messages from the root to the head, as it is now."""
    return _path("m.id = (SELECT head_id FROM {conversations} WHERE id = %s)", conversation_id)


def path_to_message(conversation_id: UUID, message_id: UUID) -> list[Step]:
    """Return the messages from the root to this one; none if it is not of this conversation."""
    return _path("m.id = %s AND m.conversation_id = %s", message_id, conversation_id)


def _path(condition: str, *ids: UUID) -> list[Step]:
    rows = _rows(
        f"""
        WITH RECURSIVE path(id, parent_id, is_emptied, depth) AS (
            SELECT m.id, m.parent_id, m.emptied_at IS NOT NULL, 0 FROM {{messages}} m WHERE {condition}
            UNION ALL
            SELECT m.id, m.parent_id, m.emptied_at IS NOT NULL, path.depth + 1
            FROM {{messages}} m JOIN path ON m.id = path.parent_id
        )
        SELECT id, is_emptied FROM path ORDER BY depth DESC
        """,  # noqa: S608 (conditions of our own)
        ids,
    )
    return [Step(id_from_driver(id), bool(is_emptied)) for id, is_emptied in rows]


def newest_after(conversation_id: UUID, message_id: UUID, among: Collection[UUID] = ()) -> set[UUID]:
    """Return the newest of a message and all that follow it, and those of them that are `among` these.

    Nothing, if there is no such message in this conversation.
    """
    rows = _rows(
        f"""
        WITH RECURSIVE below(id, is_emptied) AS (
            SELECT m.id, m.emptied_at IS NOT NULL FROM {{messages}} m
            WHERE m.id = %s AND m.conversation_id = %s AND m.emptied_at IS NULL
            UNION ALL
            SELECT m.id, m.emptied_at IS NOT NULL FROM {{messages}} m JOIN below ON m.parent_id = below.id
        )
        SELECT id FROM below
        WHERE id IN ({_marks(among)})
            OR id = (SELECT id FROM below WHERE NOT is_emptied ORDER BY id DESC LIMIT 1)
        """,  # noqa: S608 (placeholders)
        (message_id, conversation_id, *among),
    )
    return {id_from_driver(id) for (id,) in rows}


def places_of(
    conversation_id: UUID, messages: Sequence[Message], unstored: Sequence[Message] = ()
) -> dict[UUID, Place]:
    """Return where messages are shown, by their id; `unstored` are answers that are being made.

    At most two queries.
    """
    parents = {m.parent_id for m in (*messages, *unstored) if m.parent_id is not None}
    shown_parents = _shown_parents(parents)

    def parent_of(message: Message) -> UUID | None:
        return None if message.parent_id is None else shown_parents.get(message.parent_id)

    parent_by_id = {message.id: parent_of(message) for message in (*unstored, *messages)}
    shown, made = [message.id for message in messages], [message.id for message in unstored]
    siblings = _siblings(conversation_id, shown, made, parent_by_id)
    return {
        message.id: Place(parent, _around(message.id, siblings[parent]))
        for message in messages
        for parent in (parent_by_id[message.id],)
    }


def _shown_parents(ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return for each message itself or, if it is emptied, the nearest one before it that is not."""
    if not ids:
        return {}
    rows = _rows(
        f"""
        WITH RECURSIVE above(start_id, id, parent_id, is_emptied) AS (
            SELECT m.id, m.id, m.parent_id, m.emptied_at IS NOT NULL
            FROM {{messages}} m WHERE m.id IN ({_marks(ids)})
            UNION ALL
            SELECT above.start_id, m.id, m.parent_id, m.emptied_at IS NOT NULL
            FROM {{messages}} m JOIN above ON m.id = above.parent_id WHERE above.is_emptied
        )
        SELECT start_id, id FROM above WHERE NOT is_emptied
        """,  # noqa: S608 (placeholders)
        ids,
    )
    return {id_from_driver(start): id_from_driver(id) for start, id in rows}


def _siblings(
    conversation_id: UUID,
    messages: Collection[UUID],
    unstored: Collection[UUID],
    parent_by_id: Mapping[UUID, UUID | None],
) -> dict[UUID | None, list[UUID]]:
    """Return what is shown after each parent of these messages, in order; of very many, those around them.

    In the query, the conversation's id stands for what is before its roots.
    """
    if not messages:
        return {}
    parents = {parent_by_id[id] for id in messages}
    known = [id for id in parents if id is not None]
    also = [(parent_by_id[id] or conversation_id, id) for id in unstored if parent_by_id[id] in parents]
    near = MAX_SIBLINGS + len(also)
    marks, values = _marks(known), ", ".join(["(%s, %s)"] * len(also))
    rows = _rows(
        f"""
        WITH RECURSIVE places(place_id, id) AS (
            SELECT m.id, m.id FROM {{messages}} m WHERE m.id IN ({marks})
            UNION ALL
            SELECT m.conversation_id, m.id FROM {{messages}} m
            WHERE m.conversation_id = %s AND m.parent_id IS NULL AND m.emptied_at IS NOT NULL
            UNION ALL
            SELECT places.place_id, m.id
            FROM {{messages}} m JOIN places ON m.parent_id = places.id WHERE m.emptied_at IS NOT NULL
        ),
        shown(place_id, id) AS (
            SELECT places.place_id, m.id
            FROM {{messages}} m JOIN places ON m.parent_id = places.id WHERE m.emptied_at IS NULL
            UNION ALL
            SELECT m.conversation_id, m.id FROM {{messages}} m
            WHERE m.conversation_id = %s AND m.parent_id IS NULL AND m.emptied_at IS NULL
            {"UNION ALL VALUES " + values if values else ""}
        )
        SELECT place_id, id FROM (
            SELECT place_id, id, SUM(CASE WHEN id IN ({_marks(messages)}) THEN 1 ELSE 0 END) OVER (
                PARTITION BY place_id ORDER BY id ROWS BETWEEN {near} PRECEDING AND {near} FOLLOWING
            ) AS wanted_near
            FROM shown
        ) AS counted
        WHERE wanted_near > 0
        """,  # noqa: S608 (placeholders)
        (*known, *[conversation_id if None in parents else NIL_ID] * 2, *chain(*also), *messages),
    )
    # a message that is asked for was there: it may have been deleted, or an answer stored, meanwhile
    found: dict[UUID | None, set[UUID]] = {parent: set() for parent in parents}
    for place, id in rows:
        parent = id_from_driver(place)
        found[None if parent == conversation_id else parent].add(id_from_driver(id))
    for id in messages:
        found[parent_by_id[id]].add(id)
    return {parent: sorted(ids) for parent, ids in found.items()}


def _around(id: UUID, siblings: Sequence[UUID]) -> tuple[UUID, ...]:
    """Return these, or as many around one of them as are shown."""
    if len(siblings) <= MAX_SIBLINGS:
        return tuple(siblings)
    start = max(0, min(siblings.index(id) - MAX_SIBLINGS // 2, len(siblings) - MAX_SIBLINGS))
    return tuple(siblings[start : start + MAX_SIBLINGS])


def _marks(ids: Collection[UUID]) -> str:
    return ", ".join(["%s"] * len(ids)) or "NULL"


def _rows(text: str, ids: Iterable[UUID]) -> list[tuple[Any, ...]]:
    """Run a query of ids alone, through Django's cursor, so that tests count it."""
    tables = {"messages": Message._meta.db_table, "conversations": Conversation._meta.db_table}
    names = {name: connection.ops.quote_name(table) for name, table in tables.items()}
    with connection.cursor() as cursor:
        cursor.execute(text.format(**names), [id_to_driver(id) for id in ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
