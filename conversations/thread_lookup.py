"""Where a call's messages belong: which stored conversation they continue, and after which message."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection

from accounts.authentication import Principal
from billing.holds import ChargeRequest
from billing.tariffs import Bound
from conversations.digest_chain import digests, scope_of
from conversations.models import Conversation, Message
from conversations.selectors import conversation_of
from conversations.tool_results import check_tool_results
from core.exceptions import NotFound
from core.ids import MESSAGE, parse
from core.values import Value
from engines import messages as engine_messages
from media.services import StoredFile


class Admission(Value, frozen=True):
    """A validated call that asks to be stored. `key_digest` is None for a browser session. `bound` tells of
    the whole history what the call may use at most."""

    completion_id: UUID
    process_id: UUID
    principal: Principal
    key_digest: str | None
    dialect: str
    model: str
    messages: tuple[engine_messages.Message, ...]
    request: dict[str, Any]
    at: datetime
    order: ChargeRequest
    bound: Callable[[tuple[engine_messages.Message, ...]], Bound]
    positions: tuple[int, ...] = ()
    end_user: str = ""
    metadata: dict[str, str] = {}
    conversation_id: str | None = None
    parent_message_id: str | None = None
    idempotency_key: str | None = None
    body_digest: str = ""
    files: tuple[StoredFile, ...] = ()


class ThreadPosition(Value, frozen=True):
    """The first `known` messages of the call are stored and end at `parent_id`; the others go there.

    `before` are stored messages that the call left out and the engine must see.
    """

    conversation_id: UUID
    parent_id: UUID | None
    parent_digest: str
    known: int = 0
    before: tuple[engine_messages.Message, ...] = ()


# --- by digest: a stateless call that sends its whole history -------------------------------------


class _Stored(NamedTuple):
    digest: str
    id: UUID
    parent_id: UUID | None
    conversation_id: UUID
    head_id: UUID | None


def positions_by_digest(admissions: Sequence[Admission]) -> dict[UUID, ThreadPosition]:
    """The places of the calls that continue a stored answer, by completion id; the others begin anew."""
    chains: dict[UUID, tuple[int, list[str]]] = {}
    for admission in admissions:
        answered = _last_answer(admission.messages)
        if answered is not None and admission.conversation_id is None:
            who = admission.principal
            scope = scope_of(who.workspace_id, who.key_id, who.user_id, admission.end_user)
            chains[admission.completion_id] = answered, digests(scope, admission.messages)
    wanted = {digest for answered, chain in chains.values() for digest in chain[answered:]}
    stored = _stored_messages(wanted)
    return {
        completion_id: place
        for completion_id, (answered, chain) in chains.items()
        if (place := _deepest_place(chain, answered, stored))
    }


def _last_answer(messages: Sequence[engine_messages.Message]) -> int | None:
    return next((i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "assistant"), None)


def _stored_messages(wanted: set[str], **scope: Any) -> dict[str, list[_Stored]]:
    """Newest first, by digest."""
    found: dict[str, list[_Stored]] = defaultdict(list)
    if wanted:
        rows = Message.objects.filter(digest__in=wanted, **scope).order_by("-id")
        for row in rows.values_list("digest", "id", "parent_id", "conversation_id", "conversation__head_id"):
            found[row[0]].append(_Stored(*row))
    return found


def _deepest_place(chain: list[str], start: int, stored: dict[str, list[_Stored]]) -> ThreadPosition | None:
    """After the stored message of `chain[start]`, or after those that follow it and are stored too."""
    begin = stored.get(chain[start])
    if not begin:
        return None
    here = next((message for message in begin if message.id == message.head_id), begin[0])
    known = start + 1
    while known < len(chain):
        following = (message for message in stored.get(chain[known], ()) if message.parent_id == here.id)
        child = next(following, None)
        if child is None:
            break
        here, known = child, known + 1
    return ThreadPosition(here.conversation_id, here.id, here.digest, known)


# --- by name: a call that says which conversation it continues ------------------------------------


def position_by_name(admission: Admission) -> ThreadPosition | None:
    """The place that `context.conversation_id` names; None where the call names none."""
    if admission.conversation_id is None:
        return None
    workspace_id = admission.principal.workspace_id
    conversation = conversation_of(workspace_id, admission.conversation_id, param="context.conversation_id")
    if admission.parent_message_id is not None:
        return _place_after(_parent_named(admission, conversation), conversation, admission)
    return _place_of_whole_history(conversation, admission) or _place_after(
        conversation.head, conversation, admission
    )


def _parent_named(admission: Admission, conversation: Conversation) -> Message:
    message_id = parse(MESSAGE, admission.parent_message_id or "")
    if message_id is not None:
        for parent in Message.objects.filter(id=message_id, conversation=conversation):
            return parent
    raise NotFound("There is no such message in this conversation.", param="context.parent_message_id")


def _place_of_whole_history(conversation: Conversation, admission: Admission) -> ThreadPosition | None:
    """A place, where the call begins with a stored root and so sends the history itself."""
    chain = digests(conversation.scope, admission.messages)
    stored = _stored_messages(set(chain), conversation=conversation)
    if not any(message.parent_id is None for message in stored.get(chain[0], ())):
        return None
    check_tool_results(admission.messages, (), admission.positions)
    return _deepest_place(chain, 0, stored)


def _place_after(parent: Message | None, conversation: Conversation, admission: Admission) -> ThreadPosition:
    before = path_to(parent)
    call_ids = {call.id for message in before for call in message.tool_calls}
    check_tool_results(admission.messages, call_ids, admission.positions)
    if parent is None:
        return ThreadPosition(conversation.id, None, conversation.scope)
    return ThreadPosition(conversation.id, parent.id, parent.digest, before=before)


def path_to(message: Message | None) -> tuple[engine_messages.Message, ...]:
    """The messages from the root to this one, as engines read them; one query however long."""
    if message is None:
        return ()
    table = connection.ops.quote_name(Message._meta.db_table)
    ancestors = Message.objects.raw(
        f"""
        WITH RECURSIVE path(id, parent_id, depth) AS (
            SELECT id, parent_id, 0 FROM {table} WHERE id = %s
            UNION ALL
            SELECT m.id, m.parent_id, path.depth + 1 FROM {table} m JOIN path ON m.id = path.parent_id
        )
        SELECT m.id, m.role, m.parts, m.name, m.tool_call_id
        FROM {table} m JOIN path ON m.id = path.id ORDER BY path.depth DESC
        """,  # noqa: S608 (the table's own name)
        [Message._meta.pk.get_db_prep_value(message.id, connection)],
    )
    return tuple(
        engine_messages.Message(
            cast("engine_messages.Role", row.role), row.parts, row.name or None, row.tool_call_id or None
        )
        for row in ancestors
    )
