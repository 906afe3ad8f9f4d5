"""Where a call's messages belong: which stored conversation they continue, and after which message."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection
from msgspec import structs

from accounts.permissions import Permission
from conversations.completion_request import CompletionRequest
from conversations.digest_chain import chain_digests
from conversations.item_ids import parse_message_id
from conversations.models import Conversation, Message
from conversations.selectors import get_conversation
from conversations.stored_run import StoredRun
from conversations.tool_result_check import check_tool_results
from conversations.unstored_answers import unstored_answers
from core.exceptions import BadRequest, Conflict, NotFound
from core.value import Value
from engines import messages as engine_messages


class ThreadPosition(Value, frozen=True):
    """The position of a call in a conversation.

    The first `stored_count` messages of the call are already stored and end at `parent_id`; the others
    follow it. `earlier_messages` are stored messages that the call left out and the engine must see.
    `head_id` is the conversation's head, and `needs_title` whether its first words are yet to come.
    """

    conversation_id: UUID
    parent_id: UUID | None
    parent_digest: str
    stored_count: int = 0
    earlier_messages: tuple[engine_messages.Message, ...] = ()
    head_id: UUID | None = None
    needs_title: bool = False


# --- by digest: a stateless call that sends its whole history -------------------------------------


class _StoredMessage(NamedTuple):
    digest: str
    id: UUID
    parent_id: UUID | None
    emptied_at: datetime | None
    conversation_id: UUID
    head_id: UUID | None


def positions_by_digest(runs: Sequence[StoredRun]) -> dict[UUID, ThreadPosition]:
    """Return, by run id, the positions of calls that continue a stored answer; others start anew."""
    chains: dict[UUID, tuple[int, list[str]]] = {}
    for run in runs:
        messages = run.request.messages
        last_answer = _last_answer(messages)
        if last_answer is not None and run.request.conversation_id is None and run.request.is_stored:
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
        rows = Message.objects.filter(digest__in=wanted, conversation__deleted_at=None, **scope)
        columns = ("digest", "id", "parent_id", "emptied_at", "conversation_id", "conversation__head_id")
        for row in rows.order_by("-id").values_list(*columns):
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
    path = [current, *_stored_successors(chain[known:], current.id, stored)]
    while len(path) > 1 and path[-1].emptied_at:  # what is said again is stored again
        path.pop()
    last = path[-1]
    return ThreadPosition(
        last.conversation_id, last.id, last.digest, start + len(path), head_id=current.head_id
    )


def _stored_successors(
    chain: Sequence[str], parent_id: UUID | None, stored: dict[str, list[_StoredMessage]]
) -> list[_StoredMessage]:
    """Return the stored messages of these digests, each the child of the one before."""
    path: list[_StoredMessage] = []
    for digest in chain:
        following = (message for message in stored.get(digest, ()) if message.parent_id == parent_id)
        child = next(following, None)
        if child is None:
            break
        path.append(child)
        parent_id = child.id
    return path


# --- by name: a call that says which conversation it continues ------------------------------------


def position_by_name(run: StoredRun) -> ThreadPosition | None:
    """Return the position that `context.conversation_id` names, or None if the call names none."""
    request = run.request
    if request.conversation_id is None:
        return None
    run.principal.require(Permission.HISTORY_READ)  # its messages go to the model, which can repeat them
    conversation = get_conversation(run.principal, request.conversation_id, param="context.conversation_id")
    conversation.require_writable(run.principal)
    position = _position_in(conversation, request)
    needs_title = not conversation.title and conversation.titled_by == Conversation.TitledBy.FIRST_WORDS
    return structs.replace(position, head_id=conversation.head_id, needs_title=needs_title)


def _position_in(conversation: Conversation, request: CompletionRequest) -> ThreadPosition:
    if request.regenerate is not None:
        return _position_after(_prompt_of(conversation, request), conversation, request)
    if request.begins_root:
        return _position_after(None, conversation, request, may_repeat=True)
    if request.parent_message_id is not None:
        named = named_message(conversation, request.parent_message_id, "context.parent_message_id")
        return _position_after(named, conversation, request, may_repeat=True)
    if request.messages and (position := _position_of_whole_history(conversation, request)):
        return position
    head = _head_of(conversation)
    if head is not None and head.role == Message.Role.USER:
        parent = head.parent
        digest = parent.digest if parent else conversation.scope
        if chain_digests(digest, request.messages[:1]) == [head.digest]:
            # no answer came, and the client asks again
            return _position_after(parent, conversation, request, may_repeat=True)
    return _position_after(head, conversation, request)


def _head_of(conversation: Conversation) -> Message | None:
    """Return the head. Raises `NotFound` if the conversation is deleted at this moment."""
    if conversation.head_id is None:
        return None
    head = Message.objects.filter(pk=conversation.head_id).select_related("parent").first()
    if head is None:
        raise NotFound("There is no such conversation.", param="context.conversation_id")
    return head


def named_message(conversation: Conversation, public_id: str, param: str) -> Message:
    """Return a message. Raises `NotFound`, or `Conflict` for an answer that is still being made."""
    id = parse_message_id(public_id)
    found = Message.objects.filter(id=id, conversation=conversation, emptied_at=None).first() if id else None
    if found is None and id and any(answer.id == id for answer in unstored_answers(conversation)):
        raise Conflict(
            "This answer is still being made. Wait for its end, or cancel it first.",
            param=param,
            code="in_progress",
        )
    if found is None:
        raise NotFound("There is no such message in this conversation.", param=param)
    return found


def _prompt_of(conversation: Conversation, request: CompletionRequest) -> Message:
    """Return the message that is to be answered anew: the named one, or what the named answer answers."""
    param = "context.regenerate"
    if request.messages:
        raise BadRequest(
            f"'{param}' answers a stored message anew: leave 'messages' empty.", param="messages"
        )
    prompt: Message | None = named_message(conversation, request.regenerate or "", param)
    while prompt is not None and prompt.role == Message.Role.ASSISTANT:
        prompt = prompt.parent
    if prompt is None or prompt.emptied_at:
        raise BadRequest("There is no message before this one that could be answered again.", param=param)
    return prompt


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
    parent: Message | None,
    conversation: Conversation,
    request: CompletionRequest,
    *,
    may_repeat: bool = False,
) -> ThreadPosition:
    """Return the position after a stored message.

    With `may_repeat`, what the call says may be stored after it already: then that is answered anew, and
    nothing is stored twice.
    """
    before = path_to(parent)
    if not request.messages:
        _check_answerable(before)
    call_ids = {call.id for message in before for call in message.tool_calls}
    check_tool_results(request.messages, call_ids, request.positions)
    position = ThreadPosition(conversation.id, None, conversation.scope, earlier_messages=before)
    if parent is not None:
        position = structs.replace(position, parent_id=parent.id, parent_digest=parent.digest)
    if not may_repeat:
        return position
    chain = chain_digests(position.parent_digest, request.messages)
    stored = _stored_messages(set(chain), conversation=conversation)
    path = _stored_successors(chain, position.parent_id, stored)
    while path and path[-1].emptied_at:
        path.pop()
    if not path:
        return position
    return structs.replace(
        position, parent_id=path[-1].id, parent_digest=path[-1].digest, stored_count=len(path)
    )


def _check_answerable(before: Sequence[engine_messages.Message]) -> None:
    """Check that a call without messages has something to answer. Raises `BadRequest`."""
    if not before:
        raise BadRequest(
            "There is nothing to answer: the conversation has no messages here, and neither has the call.",
            param="messages",
        )
    if before[-1].role not in ("user", "tool"):
        raise BadRequest(
            "There is nothing to answer: the last message is not a user's, and no tool result. Send a "
            "message, or name an answer as 'context.regenerate' to have it made anew.",
            param="messages",
        )
    called = next((message.tool_calls for message in reversed(before) if message.tool_calls), ())
    answered = {message.tool_call_id for message in before}
    if before[-1].role == "tool" and (missing := [call.id for call in called if call.id not in answered]):
        raise BadRequest(
            f"There is nothing to answer yet: the tool call {missing[0][:100]!r} has no result.",
            param="messages",
        )


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
        SELECT m.id, m.role, m.parts, m.name, m.tool_call_id, m.emptied_at
        FROM {table} m JOIN path ON m.id = path.id ORDER BY path.depth DESC
        """,  # noqa: S608 (the table's own name)
        [Message._meta.pk.get_db_prep_value(message.id, connection)],
    )
    rows = list(ancestors)
    messages = tuple(as_read(row) for row in rows if row.emptied_at is None)
    return messages if len(messages) == len(rows) else _without_loose_ends(messages)


def as_read(row: Message) -> engine_messages.Message:
    """Return a stored message as engines read it."""
    role = cast("engine_messages.Role", row.role)
    return engine_messages.Message(role, row.parts, row.name or None, row.tool_call_id or None)


def _without_loose_ends(
    messages: Sequence[engine_messages.Message],
) -> tuple[engine_messages.Message, ...]:
    """Leave out tool calls and tool results whose other half was deleted: models refuse them."""
    answered = {message.tool_call_id for message in messages if message.role == "tool"}
    whole: list[engine_messages.Message] = []
    known: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool" and message.tool_call_id not in known:
            continue
        known.update(call.id for call in message.tool_calls)
        is_last = index == len(messages) - 1
        parts = tuple(
            part
            for part in message.parts
            if is_last or not isinstance(part, engine_messages.ToolCall) or part.id in answered
        )
        if parts or not message.parts:
            whole.append(structs.replace(message, parts=parts))
    return tuple(whole)
