"""Changes to a conversation's items: messages that clients add, edit and delete."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from msgspec import structs

from accounts.principal import Principal
from conversations.admission import first_words
from conversations.asset_holds import hold_files
from conversations.digest_chain import chain_digests
from conversations.emptying import empty_messages, lock_completions
from conversations.models import Conversation, Message
from conversations.selectors import get_conversation, readable
from conversations.settlement import preview
from conversations.thread_lookup import named_message, path_to
from conversations.tool_result_check import check_tool_results
from core.exceptions import Conflict, NotFound
from core.ids import new_id
from core.value import Value
from engines import messages as engine_messages
from media.models import Requester
from media.services import StoredFile, check_storage_quota


class NewMessages(Value, frozen=True):
    """Messages to be added, whose files are stored.

    They follow the branch that is shown or, unless `at_head`, the message of the public id `parent_id`, if
    there is one. `positions` are where they are in the client's list.
    """

    messages: Sequence[engine_messages.Message]
    files: Sequence[StoredFile] = ()
    at_head: bool = True
    parent_id: str | None = None
    positions: tuple[int, ...] = ()


@transaction.atomic
def append_messages(who: Principal, conversation_id: str, new: NewMessages) -> list[Message]:
    """Add messages to a conversation, of which the last becomes its head; return them.

    Raises `NotFound` for a conversation that the caller does not see, or a parent that is not in it,
    `Conflict` for a parent that is still being made, `BadRequest` for a tool result without its call, and
    `Forbidden`.
    """
    conversation = _locked(who, conversation_id)
    parent = _parent(conversation, new)
    if any(message.role == "tool" for message in new.messages):
        known = {call.id for message in path_to(parent) for call in message.tool_calls}
        check_tool_results(new.messages, known, new.positions, "items[{}].call_id")
    return _add(who, conversation, parent, new)


@transaction.atomic
def edit_message(
    who: Principal, conversation_id: str, message_id: UUID, new: NewMessages, *, param: str = "item_id"
) -> Message:
    """Put a message beside another, in its place, and make it the head; return it.

    If there is one already that says the same, that one becomes the head. Raises `NotFound`, `Forbidden`.
    """
    conversation = _locked(who, conversation_id)
    edited = Message.objects.select_related("parent").filter(
        pk=message_id, conversation=conversation, emptied_at=None
    )
    original = edited.first()
    if original is None:
        raise NotFound("There is no such item in this conversation.", param=param)
    [digest] = chain_digests(_digest_of(conversation, original.parent), new.messages)
    beside = Message.objects.filter(
        conversation=conversation, parent_id=original.parent_id, digest=digest, emptied_at=None
    )
    twin = beside.order_by("id").first()
    if twin is None:
        [added] = _add(who, conversation, original.parent, new)
        return added
    conversation.head, conversation.updated_at = twin, timezone.now()
    conversation.save(update_fields=["head", "updated_at"])
    return twin


@transaction.atomic
def delete_message(who: Principal, conversation_id: str, message: Message) -> None:
    """Empty a message. Raises `Conflict` for an answer that is being made, `NotFound` and `Forbidden`."""
    require_ended(message)
    get_conversation(who, conversation_id).require_writable(who)
    lock_completions([message])
    conversation = _locked(who, conversation_id)
    empty_messages(conversation, [message])


def require_ended(message: Message) -> None:
    """Raise `Conflict` for an answer that is being made."""
    if message._state.adding:
        raise Conflict(
            "This answer is being made. Cancel it first: POST /v1/chat/completions/{completion_id}/cancel.",
            param="item_id",
            code="in_progress",
        )


def _locked(who: Principal, conversation_id: str) -> Conversation:
    """Return a conversation that the caller may write, locked: whoever adds to it waits."""
    id = get_conversation(who, conversation_id).pk
    locked = Conversation.objects.select_for_update(of=("self",), no_key=True)
    conversation = locked.filter(readable(who), pk=id).first()
    if conversation is None:
        raise NotFound("There is no such conversation.", param="conversation_id")
    conversation.require_writable(who)
    return conversation


def _parent(conversation: Conversation, new: NewMessages) -> Message | None:
    if new.at_head:
        return conversation.head
    if new.parent_id is None:
        return None
    return named_message(conversation, new.parent_id, "parent_id")


def _digest_of(conversation: Conversation, message: Message | None) -> str:
    return message.digest if message else conversation.scope


def _add(
    who: Principal, conversation: Conversation, parent: Message | None, new: NewMessages
) -> list[Message]:
    requester, workspace_id = Requester.of(who), conversation.workspace_id
    files = [(workspace_id, structs.replace(file, requester=requester)) for file in new.files]
    check_storage_quota(files, param="items")
    hold_files([(workspace_id, conversation.pk, file) for workspace_id, file in files])
    now, added = timezone.now(), []
    digests = chain_digests(_digest_of(conversation, parent), new.messages)
    for message, digest in zip(new.messages, digests, strict=True):
        row = Message(
            id=new_id(),
            conversation=conversation,
            parent=parent,
            role=message.role,
            parts=message.parts,  # type: ignore[misc]
            name=message.name or "",
            tool_call_id=message.tool_call_id or "",
            digest=digest,
            created_at=now,
        )
        added.append(row)
        parent = row
    Message.objects.bulk_create(added)
    _show(conversation, added, new.messages)
    return added


def _show(
    conversation: Conversation, added: Sequence[Message], messages: Sequence[engine_messages.Message]
) -> None:
    """Let the conversation show what was added."""
    conversation.head, conversation.updated_at = added[-1], added[-1].created_at
    conversation.message_count += len(added)
    answers = [message for message in messages if message.role == "assistant"]
    if answers:
        conversation.preview = preview(answers[-1].parts)
    if not conversation.title and conversation.titled_by == Conversation.TitledBy.FIRST_WORDS:
        conversation.title = first_words(messages)
    conversation.save(update_fields=["head", "updated_at", "message_count", "preview", "title"])
