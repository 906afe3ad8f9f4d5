"""Branches of a conversation: which messages lead to one, which follow it, and which stand beside it.

Only ids are read, each time with one recursive query. Deleted messages are left out of what is shown, as if
what follows them followed what was before them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from conversations.models import Conversation, Message
from core.bulk_sql import id_from_driver, id_to_driver

MAX_SIBLINGS = 100


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
    siblings = _siblings(conversation_id, [message.id for message in messages], parent_by_id)
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
    conversation_id: UUID, messages: Collection[UUID], parent_by_id: Mapping[UUID, UUID | None]
) -> dict[UUID | None, list[UUID]]:
    """Return what is shown after each parent of these messages, in order; of very many, those around them.

    `parent_by_id` has the parents of these, and of answers that are being made. The conversation's id stands
    for what is before its roots.
    """
    if not messages:
        return {}
    parents = {parent_by_id[id] for id in messages}
    known = [id for id in parents if id is not None]
    first = f"m.parent_id IN ({_marks(known)})"
    if None in parents:
        first += " OR (m.conversation_id = %s AND m.parent_id IS NULL)"
    also = [(parent or conversation_id, id) for id, parent in parent_by_id.items() if parent in parents]
    near = MAX_SIBLINGS - 1
    rows = _rows(
        f"""
        WITH RECURSIVE following(place_id, id, is_emptied) AS (
            SELECT COALESCE(m.parent_id, m.conversation_id), m.id, m.emptied_at IS NOT NULL
            FROM {{messages}} m WHERE {first}
            UNION ALL
            SELECT following.place_id, m.id, m.emptied_at IS NOT NULL
            FROM {{messages}} m JOIN following ON m.parent_id = following.id WHERE following.is_emptied
        ),
        shown(place_id, id) AS (
            SELECT place_id, id FROM following WHERE NOT is_emptied
            UNION VALUES {", ".join(["(%s, %s)"] * len(also))}
        )
        SELECT place_id, id FROM (
            SELECT place_id, id, SUM(CASE WHEN id IN ({_marks(messages)}) THEN 1 ELSE 0 END) OVER (
                PARTITION BY place_id ORDER BY id ROWS BETWEEN {near} PRECEDING AND {near} FOLLOWING
            ) AS wanted_near
            FROM shown
        ) AS counted
        WHERE wanted_near > 0 ORDER BY id
        """,  # noqa: S608 (placeholders)
        (*known, *([conversation_id] if None in parents else []), *chain.from_iterable(also), *messages),
    )
    found: dict[UUID | None, list[UUID]] = defaultdict(list)
    for place, id in rows:
        parent = id_from_driver(place)
        found[None if parent == conversation_id else parent].append(id_from_driver(id))
    return found


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
