"""Where a call's messages belong: which stored conversation they continue, and after which message."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection

from accounts.permissions import Permission
from conversations.completion_request import CompletionRequest
from conversations.digest_chain import chain_digests
from conversations.models import Conversation, Message
from conversations.selectors import get_conversation
from conversations.stored_run import StoredRun
from conversations.tool_result_check import check_tool_results
from core.exceptions import NotFound
from core.ids import MESSAGE, parse_id
from core.value import Value
from engines import messages as engine_messages


class ThreadPosition(Value, frozen=True):
    """The position of a call in a conversation.

    The first `stored_count` messages of the call are already stored and end at `parent_id`; the others
    follow it. `earlier_messages` are stored messages that the call left out and the engine must see.
    """

    conversation_id: UUID
    parent_id: UUID | None
    parent_digest: str
    stored_count: int = 0
    earlier_messages: tuple[engine_messages.Message, ...] = ()


# --- by digest: a stateless call that sends its whole history -------------------------------------


class _StoredMessage(NamedTuple):
    digest: str
    id: UUID
    parent_id: UUID | None
    conversation_id: UUID
    head_id: UUID | None


def positions_by_digest(runs: Sequence[StoredRun]) -> dict[UUID, ThreadPosition]:
    """Return, by run id, the positions of calls that continue a stored answer; others start anew."""
    chains: dict[UUID, tuple[int, list[str]]] = {}
    for run in runs:
        messages = run.request.messages
        last_answer = _last_answer(messages)
        if last_answer is not None and run.request.conversation_id is None:
            chains[run.id] = last_answer, chain_digests(run.scope, messages)
    wanted = {digest for last_answer, chain in chains.values() for digest in chain[last_answer:]}
    stored = _stored_messages(wanted)
    return {
        id: position
        for id, (last_answer, chain) in chains.items()
        if (position := _deepest_position(chain, last_answer, stored))
    }


def _last_answer(messages: Sequence[engine_messages.Message]) -> int | None:
    return next((i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "assistant"), None)


def _stored_messages(wanted: set[str], **scope: Any) -> dict[str, list[_StoredMessage]]:
    """Return the stored messages by digest, newest first."""
    found: dict[str, list[_StoredMessage]] = defaultdict(list)
    if wanted:
        rows = Message.objects.filter(digest__in=wanted, **scope).order_by("-id")
        for row in rows.values_list("digest", "id", "parent_id", "conversation_id", "conversation__head_id"):
            found[row[0]].append(_StoredMessage(*row))
    return found


def _deepest_position(
    chain: list[str], start: int, stored: dict[str, list[_StoredMessage]]
) -> ThreadPosition | None:
    """Return the position after `chain[start]`'s stored message, or after its stored successors."""
    candidates = stored.get(chain[start])
    if not candidates:
        return None
    current = next((message for message in candidates if message.id == message.head_id), candidates[0])
    known = start + 1
    while known < len(chain):
        following = (message for message in stored.get(chain[known], ()) if message.parent_id == current.id)
        child = next(following, None)
        if child is None:
            break
        current, known = child, known + 1
    return ThreadPosition(current.conversation_id, current.id, current.digest, known)


# --- by name: a call that says which conversation it continues ------------------------------------


def position_by_name(run: StoredRun) -> ThreadPosition | None:
    """Return the position that `context.conversation_id` names, or None if the call names none."""
    request = run.request
    if request.conversation_id is None:
        return None
    run.principal.require(Permission.HISTORY_READ)  # its messages go to the model, which can repeat them
    conversation = get_conversation(run.principal, request.conversation_id, param="context.conversation_id")
    conversation.require_writable(run.principal)
    if request.parent_message_id is not None:
        parent = _named_parent(request.parent_message_id, conversation)
        return _position_after(parent, conversation, request)
    return _position_of_whole_history(conversation, request) or _position_after(
        conversation.head, conversation, request
    )


def _named_parent(public_id: str, conversation: Conversation) -> Message:
    message_id = parse_id(MESSAGE, public_id)
    if message_id is not None:
        for parent in Message.objects.filter(id=message_id, conversation=conversation):
            return parent
    raise NotFound("There is no such message in this conversation.", param="context.parent_message_id")


def _position_of_whole_history(
    conversation: Conversation, request: CompletionRequest
) -> ThreadPosition | None:
    """Return a position if the call begins with a stored root, and so sends the history itself."""
    chain = chain_digests(conversation.scope, request.messages)
    stored = _stored_messages(set(chain), conversation=conversation)
    if not any(message.parent_id is None for message in stored.get(chain[0], ())):
        return None
    check_tool_results(request.messages, (), request.positions)
    return _deepest_position(chain, 0, stored)


def _position_after(
    parent: Message | None, conversation: Conversation, request: CompletionRequest
) -> ThreadPosition:
    before = path_to(parent)
    call_ids = {call.id for message in before for call in message.tool_calls}
    check_tool_results(request.messages, call_ids, request.positions)
    if parent is None:
        return ThreadPosition(conversation.id, None, conversation.scope)
    return ThreadPosition(conversation.id, parent.id, parent.digest, earlier_messages=before)


def path_to(message: Message | None) -> tuple[engine_messages.Message, ...]:
    """Return the messages from the root to this one, as engines read them, in one query however long."""
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
