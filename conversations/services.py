"""What is done to conversations: making, changing, deleting and restoring them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Workspace
from accounts.ownership import visible_to
from accounts.principal import Principal
from conversations.deletion import can_be_restored, delete_conversations
from conversations.digest_chain import scope_of
from conversations.item_changes import NewMessages, append_messages
from conversations.item_ids import parse_message_id
from conversations.labels import replace_labels
from conversations.lists import shown_conversations
from conversations.models import Completion, Conversation, Message
from conversations.unstored_answers import unstored_answers
from core.exceptions import Conflict, Forbidden, NotFound
from core.ids import CONVERSATION, parse_id
from core.value import Value

TitledBy = Conversation.TitledBy

ID_PARAM = "conversation_id"


class NamedConversations(Value, frozen=True):
    """Conversations as a request names them: their public ids, and which parameter each of them was."""

    ids: tuple[str, ...]
    params: tuple[str, ...] = (ID_PARAM,)


# --- making and changing --------------------------------------------------------------------------


def create_conversation(
    who: Principal, values: Mapping[str, Any], first: NewMessages | None = None
) -> Conversation:
    """Make a conversation of the caller's, with its first messages. Raises `ApiError`.

    `values` are as the API takes them.
    """
    end_user = _end_user(who, values.get("user") or "")
    try:
        with transaction.atomic():
            conversation = Conversation(
                workspace_id=who.workspace_id,
                api_key_id=who.key_id,
                user_id=who.owner_id,
                end_user=end_user,
                scope=scope_of(who, end_user),
                **_columns({name: values[name] for name in _PLAIN if name in values}),
            )
            conversation.updated_at = conversation.created_at
            conversation.save(force_insert=True)
            replace_labels(conversation)
            if first is not None:
                append_messages(who, conversation.public_id, first)
                conversation.refresh_from_db()
    except IntegrityError:
        if Workspace.objects.filter(pk=who.workspace_id).exists():
            raise
        raise NotFound("The workspace is no longer there.") from None  # deleted at this very moment
    return conversation


def change_conversation(who: Principal, public_id: str, changes: Mapping[str, Any]) -> Conversation:
    """Change what `changes` name, and nothing else, whatever others change meanwhile. Raises `ApiError`."""
    with transaction.atomic():
        [conversation] = _locked(who, NamedConversations((public_id,)))
        columns = _columns({name: changes[name] for name in _PLAIN if name in changes})
        if "visibility" in changes:
            conversation.require_shareable(who)
            columns["visibility"] = changes["visibility"]
        if "head" in changes:
            columns["head_id"] = _shown_message(conversation, changes["head"])
        _set([conversation], columns)
        if {"metadata", "tags"} & columns.keys():
            replace_labels(conversation)
    return conversation


_PLAIN = ("title", "metadata", "tags", "pinned", "archived")


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that hold these values. Without a title it is automatic, from the next words on."""
    columns = dict(values)
    if "title" in columns:
        columns["title"] = (columns["title"] or "").strip()
        columns["titled_by"] = TitledBy.CLIENT if columns["title"] else TitledBy.FIRST_WORDS
    for name, nothing in (("metadata", dict), ("tags", list)):
        if name in columns:
            columns[name] = columns[name] or nothing()
    return columns


def _end_user(who: Principal, named: str) -> str:
    if who.token_id is not None and named not in ("", who.end_user):
        raise Forbidden(
            "This token is for another end user than 'user' names. Leave it out, or have a token made for "
            "that one.",
            param="user",
            code="another_end_user",
        )
    return who.end_user or named


def _shown_message(conversation: Conversation, item_id: str) -> UUID:
    """Return the message that an item belongs to, if the branch that ends there can be shown.

    Of an answer that is being made it is what it answers: once it is stored, the head moves on to it.
    """
    id = parse_message_id(item_id)
    if id and Message.objects.filter(pk=id, conversation=conversation.pk, emptied_at=None).exists():
        return id
    unstored = (answer for answer in unstored_answers(conversation) if answer.pk == id)
    being_made = next(unstored, None) if id else None
    if being_made is None or being_made.parent_id is None:
        raise NotFound("There is no such message in this conversation.", param="head")
    return being_made.parent_id


# --- many at once ---------------------------------------------------------------------------------


def set_flag(who: Principal, named: NamedConversations, column: str, value: bool) -> list[Conversation]:
    """Pin or archive conversations, or no longer: all of them, or none. Raises `ApiError`."""
    with transaction.atomic():
        conversations = _locked(who, named)
        _set(conversations, {column: value})
    return conversations


def restore(who: Principal, named: NamedConversations) -> list[Conversation]:
    """Bring deleted conversations back; those that are not deleted stay as they are. Raises `ApiError`."""
    with transaction.atomic():
        conversations = _locked(who, named, with_deleted=True)
        _set([row for row in conversations if row.deleted_at is not None], {"deleted_at": None})
    return conversations


def delete(who: Principal, named: NamedConversations, *, permanently: bool) -> list[Conversation]:
    """Delete conversations: until they are purged, or permanently, also those that are deleted already.

    Raises `ApiError`, such as for an answer that is being made where this is permanent.
    """
    if permanently or not can_be_restored():
        return _delete_permanently(who, named)
    with transaction.atomic():
        conversations = _locked(who, named)
        _set(conversations, {"deleted_at": timezone.now()})
    return conversations


def _delete_permanently(who: Principal, named: NamedConversations) -> list[Conversation]:
    """Delete them with all that they hold. They are not locked before: `delete_conversations` says why."""
    with transaction.atomic():
        conversations = _named(who, named, with_deleted=True)
        ids = [row.pk for row in conversations]
        running = Completion.objects.filter(
            workspace_id=who.workspace_id, state=Completion.State.IN_PROGRESS, conversation__in=ids
        )
        # the first of few: for an order's sake SQLite would read all completions of the workspace
        busy = min(running.values_list("pk", "conversation"), default=None)
        if busy is not None and busy[1] is not None:
            raise Conflict(
                "An answer is being made in this conversation. Cancel it, or wait for its end, before the "
                "conversation is deleted permanently.",
                param=_param_of(busy[1], named),
                code="in_progress",
            )
        delete_conversations(Conversation.objects.filter(workspace_id=who.workspace_id, pk__in=ids))
    return conversations


def _param_of(id: UUID | None, named: NamedConversations) -> str:
    pairs = zip(named.ids, named.params, strict=True)
    return next(param for name, param in pairs if parse_id(CONVERSATION, name) == id)


def _locked(who: Principal, named: NamedConversations, *, with_deleted: bool = False) -> list[Conversation]:
    """Return these conversations, which nobody else changes before the transaction ends."""
    return _named(who, named, with_deleted=with_deleted, lock=True)


def _named(
    who: Principal, named: NamedConversations, *, with_deleted: bool, lock: bool = False
) -> list[Conversation]:
    """Return these conversations, each once, if the caller may change them. Raises `ApiError` if not."""
    ids = [parse_id(CONVERSATION, name) for name in named.ids]
    rows = shown_conversations().filter(visible_to(who), pk__in=[id for id in ids if id]).order_by("pk")
    if not with_deleted:
        rows = rows.filter(deleted_at=None)
    if lock:
        rows = rows.select_for_update(of=("self",), no_key=True)
    found: dict[UUID | None, Conversation] = {row.pk: row for row in rows}
    for id, param in zip(ids, named.params, strict=True):
        if id not in found:
            raise NotFound("There is no such conversation.", param=param)
        try:
            found[id].require_writable(who)
        except Forbidden as refusal:
            refusal.param = param
            raise
    return [found[id] for id in dict.fromkeys(ids)]


def _set(conversations: Sequence[Conversation], columns: dict[str, Any]) -> None:
    """Set these columns of locked conversations, and no others."""
    columns = {**columns, "updated_at": timezone.now()}
    for conversation in conversations:
        for name, value in columns.items():
            setattr(conversation, name, value)
    Conversation.objects.filter(pk__in=[row.pk for row in conversations]).update(**columns)
